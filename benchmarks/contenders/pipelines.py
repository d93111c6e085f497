"""In-process pipelines from JPEG bytes to a label; each reports its stages in ms."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from PIL import Image

from export.graph.serving_graph import ServingGraph, to_onnx
from runtime.bundle.manifest import Bundle
from runtime.image import ImageSpec, decode
from runtime.inference.backends import open_validated
from runtime.inference.interface import InferenceSession
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from training.model.network import build
from training.model.torchvision_models import models


class Stages(NamedTuple):
    """Milliseconds of one photo."""

    decode: float
    infer: float

    @property
    def total(self) -> float:
        """Bytes to label."""
        return self.decode + self.infer


Pipeline = Callable[[bytes], Stages]

REPLACED_SIZE = 224  # px, the side of the replaced stack's input


def replaced_stack(threads: int) -> Pipeline:
    """What this product replaces: Pillow, torchvision transforms, ResNet18 in PyTorch, FP32, 224 px.

    The weights are random: they do not change the arithmetic.
    """
    models()  # makes torchvision importable
    from torchvision import transforms  # noqa: PLC0415

    network: Any = build(2).eval()
    prepare = transforms.Compose(
        [
            transforms.Resize((REPLACED_SIZE, REPLACED_SIZE)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )

    def run(data: bytes) -> Stages:
        torch.set_num_threads(threads)
        began = time.perf_counter()
        batch = prepare(Image.open(io.BytesIO(data)).convert("RGB")).unsqueeze(0)
        decoded = time.perf_counter()
        with torch.inference_mode():
            torch.softmax(network(batch), dim=1).argmax().item()
        return _stages(began, decoded, time.perf_counter())

    return run


def bundle_pipeline(bundle: Bundle, threads: int) -> Pipeline:
    """What the runtime does: decode at the bundle's size, infer with its INT8 model and the kernel that it chooses."""
    return _onnx_pipeline(open_validated(bundle, threads=threads).session, bundle.manifest.input)


def fp32_pipeline(bundle: Bundle, threads: int, folder: Path) -> Pipeline:
    """The same at the same size with an FP32 model: the bundle's own, else one of random weights made in `folder`."""
    spec, classes = bundle.manifest.input, bundle.manifest.outputs
    model = bundle.fp32_model
    if model is None:
        model = folder / "fp32.onnx"
        if not model.exists():
            onnx.save(to_onnx(ServingGraph(build(classes).eval(), temperature=1.0), spec.height), model)
    return _onnx_pipeline(OnnxruntimeSession(model, spec, classes, threads=threads), spec)


def _onnx_pipeline(session: InferenceSession, spec: ImageSpec) -> Pipeline:
    def run(data: bytes) -> Stages:
        began = time.perf_counter()
        pixels = decode(data, spec)[np.newaxis]
        decoded = time.perf_counter()
        session.infer(pixels).probabilities.argmax()
        return _stages(began, decoded, time.perf_counter())

    return run


def _stages(began: float, decoded: float, done: float) -> Stages:
    return Stages((decoded - began) * 1000, (done - decoded) * 1000)
