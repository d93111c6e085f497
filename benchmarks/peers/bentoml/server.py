"""BentoML + onnxruntime, as its documentation shows it: a service with WORKERS processes of POOL threads.

https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html
"""

import os

import bentoml
from onnx_model import Model
from photo import answer, resize
from PIL.Image import Image


@bentoml.service(workers=int(os.environ["WORKERS"]), threads=int(os.environ["POOL"]), traffic={"timeout": 120})
class Photos:
    """Each worker holds the model."""

    def __init__(self) -> None:
        """Load the model, in the worker."""
        self.model = Model()

    @bentoml.api
    def predict(self, file: Image) -> dict[str, object]:
        """Classify one photo."""
        return answer(self.model(resize(file)))
