"""Export: checkpoint to bundle (ONNX graph, INT8 quantisation, quality gates, golden cases)."""
