from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.contenders.drawn_flowers import draw_flower, flower_dataset
from benchmarks.measurements.training.calibration import measure_calibration
from training.learning.fit import Recipe

QUICK = ["--image-size", "32", "--epochs", "1", "--weights", "none"]


def test_a_drawn_flower_is_its_species_and_its_seeds_alone() -> None:
    assert draw_flower(3, 1) == draw_flower(3, 1)
    assert len({draw_flower(species, seed) for species in range(3) for seed in range(3)}) == 9


def test_every_photo_is_asked_about_once_by_a_network_that_has_not_seen_it(tmp_path: Path) -> None:
    figures = measure_calibration(
        "three", flower_dataset(tmp_path, 3, 6), Recipe(32, 1, weights="none"), range(5), every_fold=False
    )
    assert (figures.classes, figures.photos, len(figures.temperatures), len(figures.gaps)) == (3, 18, 5, 5)
    assert figures.answers >= 15  # folds of the same seed share no photo; these are of five seeds
    assert figures.confidence - figures.accuracy == pytest.approx(figures.gap, abs=0.1)
    assert figures.equal_mass_error is None


def test_the_command_prints_a_row_for_each_set_and_keeps_the_figures(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["calibration", *QUICK, "--seeds", "1", "--set", "2x5", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "2x5 drawn flowers" in done.output
    (kept,) = json.loads((tmp_path / "calibration.json").read_text())["sets"]
    assert kept["classes"] == 2
    assert len(kept["temperatures"]) == 1


@pytest.mark.parametrize("text", ["2", "1x9", "2x4", "axb", "2x"])
def test_a_set_that_cannot_be_drawn_is_refused_by_name(text: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["calibration", "--set", text, "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert f"{text!r} is not CLASSESxPHOTOS" in done.output
