"""Native INT8 inference kernel for 64-bit x86 and ARM processors on Linux (`kernel/`, docs/kernel.md).

onnxruntime computes elsewhere, FP32, and any graph that is not a residual network of ours. The kernel's bytes are the
same on every processor: in every layer those of onnxruntime's exact INT8 arithmetic on x86.
"""
