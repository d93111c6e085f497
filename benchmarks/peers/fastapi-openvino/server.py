"""FastAPI + OpenVINO: the same route; each thread of the pool has an infer request of its own."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino as ov
from fastapi import FastAPI, UploadFile
from photo import MODEL, SIZE, THREADS, answer, decode

POOL = int(os.environ["POOL"])
core = ov.Core()
model = core.read_model(MODEL)
model.reshape([1, SIZE, SIZE, 3])  # a fixed batch lets OpenVINO choose its kernels
# One stream for each photo at once, as the hint THROUGHPUT would choose: its own choice leaves no say over threads.
compiled = core.compile_model(model, "CPU", {"NUM_STREAMS": POOL, "INFERENCE_NUM_THREADS": POOL * THREADS})
local = threading.local()
# Once before there are threads: two that call its Python side for the first time at once lock each other out for good.
compiled.create_infer_request().infer([np.zeros((1, SIZE, SIZE, 3), np.uint8)])["probabilities"]


def take_request() -> None:
    """An infer request for each thread, made before the first photo."""
    with lock:
        local.request = compiled.create_infer_request()


lock = threading.Lock()
pool = ThreadPoolExecutor(POOL, initializer=take_request)
app = FastAPI()


def classify(data: bytes) -> dict[str, object]:
    """Bytes to answer."""
    return answer(local.request.infer([decode(data)])["probabilities"])


@app.get("/health")
async def health() -> dict[str, str]:
    """It answers."""
    return {"status": "ok"}


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, object]:
    """Classify one photo."""
    return await asyncio.get_running_loop().run_in_executor(pool, classify, await file.read())
