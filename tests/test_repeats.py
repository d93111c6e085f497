"""The two runs: what the shorter one leaves out, and which cases of a parameter it has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.suite.groups import MARKS
from tests.support.suite.repeats import thorough_but

ROOT = Path(__file__).parents[1]


def test_make_test_leaves_out_every_mark_and_make_test_all_none() -> None:
    marks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    assert {mark.partition(":")[0] for mark in marks} == set(MARKS)
    short, full = re.findall(r"^\t(?:THOROUGH=1 )?\$\(PYTEST\) .+$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    left_out = re.search(r"-m 'not \((.+)\)'", short)
    assert left_out
    assert set(left_out[1].split(" or ")) == set(MARKS)
    assert " -m " not in full
    assert "THOROUGH=1" in full


def test_the_cases_of_the_shorter_run_are_those_that_are_named() -> None:
    cases = thorough_but((1, 4), range(5))
    marked = [case for case in cases if not isinstance(case, int)]
    assert [case for case in cases if isinstance(case, int)] == [1, 4]
    assert [(case.values, [mark.name for mark in case.marks]) for case in marked] == [
        ((number,), ["thorough"]) for number in (0, 2, 3)
    ]
    with pytest.raises(AssertionError, match="are not all among"):
        thorough_but((7,), range(5))
