"""Mixed precision: measure whether bfloat16 or FP32 trains faster on this CPU."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch import nn

from training.recipe import Precision

# Below this gain the choice would depend on the machine's mood, and equal seeds would not give equal results.
WORTH_IT = 1.25


@cache  # all trainings of a process are alike, the folds of a cross-validation for example
def choose_precision() -> Precision:
    """Time one convolution forwards and backwards in both precisions; takes about 2 s, once in a process.

    The best of several turns on one thread counts, in its CPU time: a busy machine makes all but that longer.
    """
    if not _multiplies_bf16():
        return "fp32"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        turns = [(_seconds("fp32"), _seconds("bf16")) for _ in range(5)]
    finally:
        torch.set_num_threads(threads)
    fp32, bf16 = map(min, zip(*turns, strict=True))
    return "bf16" if fp32 / bf16 > WORTH_IT else "fp32"


def _multiplies_bf16() -> bool:
    """Whether bfloat16 may be faster: without instructions for its products, x86 computes them in FP32."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    cpu = torch.cpu.get_capabilities()
    return cpu["architecture"] != "x86_64" or bool(cpu["avx512_bf16"] or cpu["amx_bf16"])


def _seconds(precision: Precision) -> float:
    layer = nn.Conv2d(128, 128, 3, padding=1, bias=False)
    photos = torch.ones(8, 128, 28, 28).to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            layer(photos).float().sum().backward()

    step()
    began = time.thread_time()
    for _ in range(3):
        step()
    return time.thread_time() - began
