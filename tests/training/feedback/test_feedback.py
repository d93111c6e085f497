"""`python -m training feedback apply`: accepted corrections join the photos of their product, in whatever order."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtime.serving.feedback import Limits
from runtime.serving.feedback.review import ReviewError, review
from runtime.store import open_store
from tests.support.appliances.corrections import feedback_at, keep
from tests.support.photos import photo, write_photos
from training.commands import feedback
from training.data.fetch import fetch


def keep_accepted(folder: Path, label: str, seed: int = 1) -> str:
    """A correction of the default product that somebody accepted: its SHA-256."""
    digest = keep(feedback_at(folder, Limits()), photo(seed=seed), label).id
    review(open_store(str(folder / "data")), digest, "accepted")
    return digest


def apply(folder: Path, *arguments: str) -> Result:
    command = ["apply", "--data", str(folder / "data"), "--raw", str(folder / "raw"), *arguments]
    return CliRunner().invoke(feedback, command, catch_exceptions=False)


def names(folder: Path, label: str) -> list[str]:
    return sorted(file.name for file in (folder / "raw" / label).iterdir())


def test_what_was_accepted_joins_the_fetched_photos_until_they_are_fetched_again(tmp_path: Path) -> None:
    source = write_photos(tmp_path / "source", 2)
    digest = keep_accepted(tmp_path, "grass")
    for _ in range(2):
        fetch(tmp_path / "raw", source=str(source))
        assert names(tmp_path, "grass") == ["0000.jpg", "0001.jpg"]
        for _ in range(2):
            assert apply(tmp_path).output == f"accepted corrections in {tmp_path / 'raw'}: 1\n"
            assert names(tmp_path, "grass") == ["0000.jpg", "0001.jpg", f"feedback-{digest}.jpeg"]


def test_what_waits_or_was_rejected_and_what_another_product_has_stays_out(tmp_path: Path) -> None:
    write_photos(tmp_path / "raw", 2)
    keep(feedback_at(tmp_path, Limits()), photo(seed=1), "grass")
    review(open_store(str(tmp_path / "data")), keep_accepted(tmp_path, "grass", seed=2), "rejected")
    keep_accepted(tmp_path, "grass", seed=3)
    assert apply(tmp_path, "--product", "birds").output.endswith(": 0\n")
    assert apply(tmp_path).output.endswith(": 1\n")


def test_without_any_corrections_there_is_nothing_to_do(tmp_path: Path) -> None:
    write_photos(tmp_path / "raw", 2)
    assert apply(tmp_path).output.endswith(": 0\n")


def test_a_correction_to_a_class_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    write_photos(tmp_path / "raw", 2)
    keep_accepted(tmp_path, "moss")
    with pytest.raises(ReviewError, match=r"accepted as 'moss', which is no class .*dandelion, grass.*feedback reject"):
        apply(tmp_path)
