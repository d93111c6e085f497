"""INT8 inference without onnxruntime, on x86-64 processors with AVX-512 VNNI or AMX (`kernel.c`).

onnxruntime stays what every other processor computes with, and FP32, and whatever graph is not a residual network of
ours. What this room answers is what onnxruntime's exact INT8 arithmetic answers, byte for byte in every layer.
"""
