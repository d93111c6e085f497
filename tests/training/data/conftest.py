"""Fixtures of the tests of fetching."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.photos import write_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of each of two classes."""
    return write_photos(tmp_path / "photos", 3)


@pytest.fixture
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is tried again is tried again at once."""
    monkeypatch.setattr("training.data.download.FIRST_PAUSE_S", 0.01)
