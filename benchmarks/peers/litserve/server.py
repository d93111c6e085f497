"""LitServe + onnxruntime, as its documentation shows it: setup, decode, predict, encode; WORKERS processes.

https://lightning.ai/docs/litserve
"""

import os
import sys

import litserve as ls
from onnx_model import Model
from photo import answer, decode


class Photos(ls.LitAPI):
    """Each worker holds the model."""

    def setup(self, device: str) -> None:
        """Load the model, in the worker."""
        self.model = Model()

    def decode_request(self, request):
        """The upload's bytes to pixels."""
        return decode(request["file"].file.read())

    def predict(self, pixels):
        """Pixels to probabilities."""
        return self.model(pixels)

    def encode_response(self, probabilities):
        """Probabilities to the answer."""
        return answer(probabilities)


if __name__ == "__main__":
    server = ls.LitServer(Photos(), accelerator="cpu", workers_per_device=int(os.environ["WORKERS"]), fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
