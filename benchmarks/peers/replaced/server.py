"""The replaced stack: FastAPI, Pillow, torchvision transforms, ResNet18 in PyTorch, FP32, 224 px.

The weights are random: they do not change the arithmetic.
"""

import asyncio
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import torch
from fastapi import FastAPI, UploadFile
from PIL import Image

try:
    import torchvision
except RuntimeError as error:
    # A torchvision linked to CUDA beside a CPU build of torch: its classification models need only these declarations.
    if "torchvision::nms" not in str(error):
        raise
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from torchvision import transforms

LABELS = os.environ["LABELS"].split(",")

torch.set_num_threads(int(os.environ["THREADS"]))
model = torchvision.models.resnet18(num_classes=len(LABELS)).eval()
prepare = transforms.Compose(
    [
        transforms.Resize((224, 224)),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)
pool = ThreadPoolExecutor(int(os.environ["POOL"]))
app = FastAPI()


def classify(data: bytes) -> dict[str, object]:
    """Bytes to answer."""
    pixels = prepare(Image.open(io.BytesIO(data)).convert("RGB")).unsqueeze(0)
    with torch.inference_mode():
        probabilities = torch.softmax(model(pixels), dim=1)[0].tolist()
    confidence = max(probabilities)
    return {"label": LABELS[probabilities.index(confidence)], "confidence": confidence}


@app.get("/health")
async def health() -> dict[str, str]:
    """It answers."""
    return {"status": "ok"}


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, object]:
    """Classify one photo."""
    return await asyncio.get_running_loop().run_in_executor(pool, classify, await file.read())
