"""From checkpoint to bundle: ONNX graph, INT8, gates, golden cases."""
