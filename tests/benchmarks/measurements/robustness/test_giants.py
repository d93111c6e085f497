from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.measurements.robustness.exchange import Answer
from benchmarks.measurements.robustness.giant_photos import GIANTS, _largest
from benchmarks.measurements.robustness.giants import Promise
from runtime.image import FORMATS, ImageSpec, decode
from runtime.image.formats import detect_format
from tests.benchmarks.measurements.robustness.measured import measured


def test_the_largest_photos_are_found_and_sent_at_once(tmp_path: Path) -> None:
    result = measured(
        tmp_path, "--figure", "giants", "--giant", "JPEG in three scans", "--giant", "WebP", "--at-once", "3",
        DANDELION_MAX_MEGAPIXELS="1",
    )  # fmt: skip
    found = result["giants"]
    assert found["sizing_deaths"] == 0
    assert [each["kind"] for each in found["rounds"]] == ["JPEG in three scans", "WebP", "all kinds"]
    for each in found["rounds"]:
        assert sum(each["statuses"].values()) == 3
        assert (each["unexplained"], each["deaths"]) == (0, 0)


@pytest.mark.parametrize("kind", GIANTS)
def test_a_giant_of_each_kind_is_a_photo_of_its_size(kind: str) -> None:
    photo = GIANTS[kind](0.04)
    assert decode(photo, ImageSpec(height=8, width=8)).shape == (8, 8, 3)
    if kind != "PNG with texts":
        assert Image.open(io.BytesIO(photo)).size == (200, 200)


def test_every_accepted_format_has_a_giant() -> None:
    assert {detect_format(draw(0.01)) for draw in GIANTS.values()} == set(FORMATS)


@pytest.mark.parametrize("most", [3.3, 64.0, 100.0])
def test_the_largest_is_what_the_refusal_says_or_is_approached(most: float) -> None:
    for says in (True, False):
        told = f"more than the {most:.1f} megapixels accepted".encode() if says else b"too large"

        def ask(photo: bytes, told: bytes = told) -> Answer:
            return Answer(200) if float(photo) <= most else Answer(413, body=told)

        found = float(_largest(lambda megapixels: str(megapixels).encode(), 64.0, ask))
        assert (0.98 if says else 0.85) * most <= found <= most


@pytest.mark.parametrize(
    ("promised_s", "admitted_s", "early", "kept"),
    [
        (4, 4.0, False, True),
        (4, 7.9, False, True),
        (4, 8.1, False, False),
        (4, None, False, False),
        (4, 2.1, True, True),
        (4, 1.9, True, False),
        (1, 0.1, True, True),  # a whole second is the least that can be promised
    ],
)
def test_a_promise_is_kept_within_a_factor_of_two(
    promised_s: float, admitted_s: float | None, early: bool, kept: bool
) -> None:
    assert Promise(promised_s, admitted_s, early).kept == kept


def test_what_an_encoder_cannot_write_is_tried_smaller() -> None:
    asked: list[float] = []

    def draw(megapixels: float) -> bytes:
        if megapixels > 80:
            raise RuntimeError("too large for this encoder")
        return str(megapixels).encode()

    def ask(photo: bytes) -> Answer:
        asked.append(float(photo))
        return Answer(200)

    assert (float(_largest(draw, 256.0, ask)), asked) == (64.0, [64.0])
