"""What all peers but the replaced stack do with a photo, so that only the server differs.

Settings come from the environment: MODEL (an ONNX file), SIZE (px), LABELS (comma-separated), THREADS (of one
inference).
"""

import io
import os

import numpy as np
from PIL import Image

MODEL = os.environ["MODEL"]
SIZE = int(os.environ["SIZE"])
LABELS = os.environ["LABELS"].split(",")
THREADS = int(os.environ["THREADS"])


def decode(data: bytes) -> np.ndarray:
    """Encoded photo to uint8 [1, SIZE, SIZE, 3]."""
    return resize(Image.open(io.BytesIO(data)))


def resize(image: Image.Image) -> np.ndarray:
    """An opened photo to uint8 [1, SIZE, SIZE, 3]; a large JPEG is decoded at a fraction of its size."""
    scaled = image.draft("RGB", (SIZE, SIZE))
    box = scaled[1] if scaled else None  # what the photo fills of an image whose sides are rounded up
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box))[np.newaxis]


def answer(probabilities: np.ndarray) -> dict[str, object]:
    """What is answered: label, confidence, probabilities."""
    values = probabilities[0].tolist()
    confidence = max(values)
    return {
        "label": LABELS[values.index(confidence)],
        "confidence": confidence,
        "probabilities": dict(zip(LABELS, values, strict=True)),
    }
