"""What people call the kernels: the labels of the page and of tables."""

from __future__ import annotations

from runtime.inference.backends import Name

LABELS: dict[Name, str] = {
    "reference": "reference in plain C",
    "sse4": "SSE4.1",
    "avx2": "AVX2",
    "avxvnni": "AVX-VNNI",
    "vnni": "AVX-512 VNNI",
    "amx": "AMX",
    "neon": "ARM NEON",
    "dotprod": "ARM dot product",
    "i8mm": "ARM I8MM",
    "fast": "onnxruntime",
    "exact": "onnxruntime, exact INT8",
    "fp32": "onnxruntime, FP32",
}
