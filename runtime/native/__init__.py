"""Native INT8 inference kernel for x86-64 processors with AVX-512 VNNI or AMX (`kernel/`, docs/kernel.md).

onnxruntime computes on every other processor, FP32, and any graph that is not a residual network of ours. The kernel's
bytes are those of onnxruntime's exact INT8 arithmetic in every layer.
"""
