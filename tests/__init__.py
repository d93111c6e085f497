import runtime  # noqa: F401 - turns onnxruntime's telemetry off, which must be done before onnxruntime is imported
