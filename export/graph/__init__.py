"""The ONNX graph: export from PyTorch, and INT8 quantisation."""
