"""MLServer + onnxruntime: a custom runtime that takes the photo as BYTES, in the Open Inference Protocol's JSON.

https://docs.seldon.ai/mlserver/user-guide/custom
"""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_model import Model
from photo import answer, decode


class Photos(MLModel):
    """The runtime that MLServer loads, in each worker."""

    async def load(self) -> bool:
        """Load the model."""
        self._model = Model()
        self._pool = ThreadPoolExecutor(int(os.environ["POOL"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Classify one photo, beside the event loop."""
        (data,) = Base64Codec.decode_input(payload.inputs[0])
        answered = await asyncio.get_running_loop().run_in_executor(self._pool, self._classify, data)
        output = StringCodec.encode_output("answer", [json.dumps(answered)])
        return InferenceResponse(model_name=self.name, outputs=[output])

    def _classify(self, data: bytes) -> dict[str, object]:
        return answer(self._model(decode(data)))
