"""FastAPI + onnxruntime: one upload route, the work in a pool of POOL threads beside the event loop."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI, UploadFile
from onnx_model import Model
from photo import answer, decode

model = Model()
pool = ThreadPoolExecutor(int(os.environ["POOL"]))
app = FastAPI()


def classify(data: bytes) -> dict[str, object]:
    """Bytes to answer."""
    return answer(model(decode(data)))


@app.get("/health")
async def health() -> dict[str, str]:
    """It answers."""
    return {"status": "ok"}


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, object]:
    """Classify one photo."""
    return await asyncio.get_running_loop().run_in_executor(pool, classify, await file.read())
