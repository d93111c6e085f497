from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.measurements.image.decoding import enlarge, full_decode
from benchmarks.measurements.image.resizing import PILLOW, measure_resizing, resizing_table
from runtime.errors import Refusal
from runtime.image import ImageSpec, decode
from tests.runtime.native.models import library_of, loads_prebuilt
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo, write_photos


def test_decode_compares_times_and_labels_and_keeps_its_samples(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1", size=64)
    photos = write_photos(tmp_path / "photos", 3)
    arguments = ["--bundle", str(bundle), "--photos", str(photos), "--sample", "4", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, ["decode", *arguments], catch_exceptions=False)
    result = json.loads((tmp_path / "decode.json").read_text())
    assert (done.exit_code == 0) == (result["speedup"]["value"] >= 5 and result["same_label"] == 4)
    assert "scaled decoding is faster" in done.output
    assert result["photos"] == "4 of 6 photos of photos"
    assert len(result["samples_full_ms"]) == len(result["samples_scaled_ms"]) == 4
    assert result["largest_probability_change"] < 0.2


@loads_prebuilt
def test_decode_shows_the_resize_of_each_instruction_set_beside_pillows(tmp_path: Path) -> None:
    found = library_of("reference")
    names = [PILLOW, *found.available]
    library = found._replace(instructions=found.available[0])
    photos = [photo(seed=seed, size=(275, 183)) for seed in range(3)]
    result = measure_resizing(ImageSpec(height=64, width=64), [*photos, photo(size=(2000, 500))], "drawn", library)
    assert result is not None
    assert [each.name for each in result.times] == names
    assert result.times[0].speedup.value == 1
    assert result.count == 3  # Pillow reduces the large one first, also in serving
    assert all(len(each.samples_us) == result.count for each in result.times)
    output = io.StringIO()
    Console(file=output, width=200).print(resizing_table(result))
    assert all(name in output.getvalue() for name in names)


@loads_prebuilt
def test_a_resize_that_differs_from_pillows_is_told() -> None:
    def nothing(*_: object) -> None:
        """Leave the output as it is."""

    library = library_of("reference")._replace(resize=nothing)
    with pytest.raises(Refusal, match="reference resizes photo 0 otherwise than Pillow"):
        measure_resizing(ImageSpec(height=64, width=64), [photo(size=(275, 183))], "drawn", library)


def test_without_the_kernel_no_resize_is_measured() -> None:
    assert measure_resizing(ImageSpec(height=64, width=64), [photo(size=(275, 183))], "drawn", None) is None


def test_a_difference_in_labels_is_told_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inverted(data: bytes, spec: ImageSpec) -> np.ndarray:
        return 255 - full_decode(data, spec)

    monkeypatch.setattr("benchmarks.measurements.image.decoding.decode", inverted)
    bundle = write_bundle(tmp_path / "v1", size=64)
    photos = write_photos(tmp_path / "photos", 2)
    arguments = ["--bundle", str(bundle), "--photos", str(photos), "--sample", "4", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, ["decode", *arguments])
    assert done.exit_code == 1
    assert "below the target: 5 times faster, the same label on 99.5%" in done.output


def test_an_enlarged_photo_has_12_megapixels_and_its_old_shape() -> None:
    data = enlarge(photo(size=(96, 72)))
    with Image.open(io.BytesIO(data)) as image:
        assert image.width * image.height == pytest.approx(12_000_000, rel=0.001)
        assert image.width / image.height == pytest.approx(96 / 72, rel=0.001)
    spec = ImageSpec(height=64, width=64)
    assert np.abs(decode(data, spec).astype(np.int16) - full_decode(data, spec)).mean() < 1
