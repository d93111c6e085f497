"""What people call the kernels: the labels of the page and of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.inference.backends import Name

LABELS: dict[Name, str] = {
    "reference": "reference (C)",
    "sse4": "SSE4.1",
    "avx2": "AVX2",
    "avxvnni": "AVX-VNNI",
    "vnni": "AVX-512 VNNI",
    "amx": "AMX",
    "neon": "ARM NEON",
    "dotprod": "ARM dot product",
    "i8mm": "ARM I8MM",
    "fast": "onnxruntime",
    "exact": "onnxruntime (exact)",
    "fp32": "onnxruntime (FP32)",
}


def label_of(kernel: str) -> str:
    """The label of a kernel; its name if that is unknown here, as another release's may be."""
    return {str(name): label for name, label in LABELS.items()}.get(kernel, kernel)
