"""How much a test repeats: all of it in the thorough run (`make test-all`, which sets THOROUGH), else a part.

What is marked `thorough` shows with other inputs what a test of the shorter run shows, which leaves it out.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

import pytest

SHORTER = 6
THOROUGH = bool(os.environ.get("THOROUGH"))


def repeats(full: int) -> int:
    """`full` in the thorough run; a sixth of it, but at least 5, in the shorter one."""
    return full if THOROUGH else min(full, max(5, full // SHORTER))


def thorough_but(short: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """`cases` as values of one parameter: those of `short` in every run, the others in the thorough one alone."""
    cases = list(cases)
    assert all(case in cases for case in short), f"{short} are not all among {cases}"
    return [case if case in short else pytest.param(case, marks=pytest.mark.thorough) for case in cases]
