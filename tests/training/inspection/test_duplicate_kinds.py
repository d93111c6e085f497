"""The table of docs/own-photos.md: which kinds of copies of the real photos are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.training.data.test_duplicates import FOUND
from training.inspection.duplicate_kinds import measure, table


def test_the_table_of_the_documentation_is_what_is_measured() -> None:
    folder = os.environ.get("DANDELION_PHOTOS")
    if folder is None:
        pytest.skip("set DANDELION_PHOTOS to a folder of the real photos (python -m training fetch brings them)")
    measured = measure(Path(folder))
    assert len(measured.pairs) == 2  # both are crops of another, as one sees: there is no false alarm
    found = {kind: number for kind, number, _ in measured.kinds}
    for kind in FOUND:
        assert found[kind] >= 38, kind
    document = (Path(__file__).parents[3] / "docs/own-photos.md").read_text()
    for row in table(measured).splitlines()[2:]:
        if row.startswith("|"):
            assert row.split("|")[1].strip() in document
