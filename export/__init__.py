"""Export: checkpoint to bundle (ONNX graph, INT8 quantisation, quality gates, golden cases)."""

import runtime  # noqa: F401 - turns onnxruntime's telemetry off, which must be done before onnxruntime is imported
