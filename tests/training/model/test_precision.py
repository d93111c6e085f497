from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from training.model import precision
from training.recipe import Precision

X86 = {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Precision]]:
    """What was timed, on a processor that has bfloat16; busy turns take ten times as long as the others."""
    turns: list[Precision] = []

    def seconds(which: Precision) -> float:
        assert torch.get_num_threads() == 1
        turns.append(which)
        return (1.0 if which == "fp32" else 0.5) * (10 if len(turns) > 2 else 1)

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: X86 | {"amx_bf16": True})
    monkeypatch.setattr(precision, "_seconds", seconds)
    precision.choose_precision.cache_clear()
    yield turns
    precision.choose_precision.cache_clear()


def test_the_best_turns_of_one_thread_count_and_all_trainings_of_a_process_are_alike(measured: list[Precision]) -> None:
    threads = torch.get_num_threads()
    assert precision.choose_precision() == "bf16"
    assert torch.get_num_threads() == threads
    timed = len(measured)
    assert precision.choose_precision() == "bf16"
    assert len(measured) == timed > 2


def test_an_x86_processor_without_products_of_bfloat16_is_not_timed(
    measured: list[Precision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: X86)
    assert precision.choose_precision() == "fp32"
    assert not measured
