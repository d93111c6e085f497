from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.sweep.input_sizes import SizeFigures, SweepResult, choose, sweep
from export.sweep.pareto_front import below_floor, draw_front, table
from runtime.bundle.manifest import Scores
from training.data.dataset import Dataset
from training.learning.pruning import narrow
from training.recipe import Recipe


def figures(size: int, accuracy: float, share: float = 1.0) -> SizeFigures:
    scores = Scores(accuracy, accuracy, accuracy, accuracy, 0.1, 0.02)
    return SizeFigures(size, scores, scores, [accuracy], 1.0, size / 10, size / 30 * share, share)


def test_the_smallest_size_within_a_point_of_the_best_is_chosen() -> None:
    assert choose([figures(224, 0.97), figures(160, 0.966), figures(96, 0.955)]).image_size == 160
    assert choose([figures(224, 0.97), figures(160, 0.96)]).image_size == 160
    assert choose([figures(224, 0.96), figures(96, 0.97)]).image_size == 96
    assert choose([figures(224, 0.97), figures(96, 0.99, share=0.25)]).image_size == 224


def test_the_front_is_drawn_and_tabled(tmp_path: Path) -> None:
    result = SweepResult(
        "0" * 64, 400, 5, 5, 42, [figures(224, 0.97), figures(128, 0.968), figures(96, 0.96, 0.25)], 128
    )
    draw_front(result, tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 10_000
    assert "*  128      0.9680     0.9680   0.9452 to 0.9809" in table(result)
    assert "narrow: 0.25 of the channels" in table(result)


def test_a_chosen_size_below_the_floor_is_warned_of() -> None:
    result = SweepResult("0" * 64, 400, 5, 5, 42, [figures(224, 0.92), figures(96, 0.99, 0.25)], 224)
    warning = below_floor(result, 0.93)
    assert warning is not None
    assert "224 px reaches 0.9200" in warning
    assert "the floor is 0.93 (--min-accuracy, DANDELION_MIN_ACCURACY)" in warning
    assert below_floor(result, 0.92) is None
    assert below_floor(result, None) is None


def test_a_sweep_measures_every_size_and_uses_its_checkpoints_again(
    dataset: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    short = replace(recipe, epochs=1)
    result = sweep(dataset, short, [64, 32], 2, tmp_path)
    assert [size.image_size for size in result.sizes] == [64, 32]
    assert all(size.int8_ms > 0 for size in result.sizes)
    assert result.chosen in {64, 32}
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(kept) == 4
    again = sweep(dataset, short, [64, 32], 2, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == kept
    assert [msgspec.structs.replace(size, fp32_ms=0, int8_ms=0) for size in again.sizes] == [
        msgspec.structs.replace(size, fp32_ms=0, int8_ms=0) for size in result.sizes
    ]


def test_a_sweep_tries_each_size_narrow_if_asked(
    dataset: Dataset, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.learning.crossvalidate.narrow", partial(narrow, epochs=0))
    short = replace(recipe, epochs=1, image_size=32)
    result = sweep(dataset, short, [32], 2, tmp_path, share=0.1)
    assert [(size.image_size, size.share) for size in result.sizes] == [(32, 1), (32, 0.1)]
    assert result.chosen == 32
    assert len([file for file in tmp_path.iterdir() if "narrow" in file.name]) == 2


@pytest.mark.parametrize("sizes", ["", "large", "100", "16", "1024"])
def test_sizes_that_are_none_are_refused(sizes: str) -> None:
    done = CliRunner().invoke(main, ["sweep", "--sizes", sizes])
    assert done.exit_code == 2
    assert "is not a list of multiples of 32 from 32 to 512" in done.output
