"""The title, headline and picture of a product are checked before anything is built, and go into the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.bundle.build import build
from export.bundle.display import DisplayError, shown
from export.gates.quality_gates import Limits
from tests.support.pictures.displays import SVG
from training.data.dataset import Dataset
from training.model.checkpoint import Checkpoint


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "My bird.SVG"
    file.write_bytes(SVG)
    return file


def test_what_is_given_goes_into_the_bundle(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path, picture: Path
) -> None:
    given = shown("Garden birds", "Which bird is this?", picture)
    easy = Limits(min_accuracy=0.5, answered_precision=0.9)
    bundle = build(checkpoint, dataset, tmp_path / "v1", limits=easy, shown=given, say=lambda _: None)
    display = bundle.manifest.display
    assert display is not None
    assert (display.title, display.headline, display.picture) == ("Garden birds", "Which bird is this?", "picture.svg")
    found = bundle.picture()
    assert found is not None
    assert (found.media_type, found.data) == ("image/svg+xml", SVG)


def test_what_is_not_given_is_not_said() -> None:
    assert shown().display is None
    only = shown(title="Birds").display
    assert only is not None
    assert (only.title, only.headline, only.picture) == ("Birds", None, None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"title": "x" * 41}, r"^--title: 'x+' has 41 characters, 40 fit; shorten it$"),
        ({"title": ""}, r"^--title: '' is empty"),
        ({"headline": "a\nb"}, r"^--headline: 'a\\nb' is empty, or has characters that nobody sees"),
        ({"headline": "\u202ea"}, r"^--headline: "),
        ({"picture": Path("nowhere.svg")}, r"^--picture: nowhere\.svg: No such file"),
        ({"picture": Path(__file__)}, r"test_display\.py: is neither an \.svg nor a \.png$"),
    ],
)
def test_what_no_bundle_can_have_is_refused_by_the_option_s_name(options: dict[str, object], reason: str) -> None:
    with pytest.raises(DisplayError, match=reason):
        shown(**options)  # type: ignore[arg-type]


def test_the_command_refuses_a_picture_before_it_reads_the_checkpoint(tmp_path: Path) -> None:
    bad = tmp_path / "bird.svg"
    bad.write_bytes(SVG.replace(b"<circle", b"<script/><circle"))
    result = CliRunner().invoke(main, ["build", "--checkpoint", "nowhere.pt", "--picture", str(bad)])
    assert result.exit_code == 1
    assert "bird.svg: has a <script>" in result.output
