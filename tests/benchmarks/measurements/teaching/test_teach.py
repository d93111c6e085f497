from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.measurements.teaching.accuracy import Accuracies, Trial, accuracy_goals, few_trials, fold_trials
from benchmarks.measurements.teaching.times import ANEW, CACHED, OURS, Clicks, Taken, time_goals
from tests.support.photos import write_photos

QUICK = ["--rounds", "1", "--epochs", "1", "--seeds", "1", "--draws", "2", "--set", "2x5"]


def run(*arguments: object, **environment: str) -> Result:
    surroundings: dict[str, str | None] = {"DANDELION_PHOTOS": None, **environment}
    return CliRunner().invoke(main, ["teach", *map(str, arguments)], env=surroundings)


def test_teaching_is_measured_beside_what_camera_software_does(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 12)
    # Without a network, and without ImageNet's weights: the figures of FP32 are left out, and the command says why.
    done = run(*QUICK, "--photos", photos, "--out", tmp_path, TORCH_HOME=str(tmp_path), HTTPS_PROXY="http://[::1]:9")
    assert done.exit_code == 0, done.output
    assert "the MobileNetV2 has random weights" in done.output
    assert "1 epochs in place of the 50 of the recipe: no ratio may be quoted" in done.output
    assert "no FP32 features: the ImageNet weights could not be downloaded" in done.output
    result = json.loads((tmp_path / "teach.json").read_bytes())
    assert set(result["commands"]) == {OURS, ANEW, CACHED}
    for (taken,) in result["commands"].values():
        assert 0.1 < taken["wall_s"] < 300
        assert 2e7 < taken["peak_bytes"] < 4e9
    assert len(result["clicks"]["click_s"]) == len(result["clicks"]["again_s"]) == 1
    names = [one["name"] for one in result["accuracies"]]
    assert names == ["five folds", "10 photos a class", "3 photos a class", "2 drawn classes of 5"]
    assert all(0.4 <= share <= 1 for one in result["accuracies"] for share in one["ours"])
    assert len(result["accuracies"][-1]["theirs"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name their folder with --photos (DANDELION_PHOTOS)"),
        (["--photos", "{}/nowhere"], "is not a folder"),
        (["--photos", "{}/few"], "has 4 photos; 11 are needed"),
        (["--photos", "{}/few", "--set", "1x5"], "is not CLASSESxPHOTOS"),
        (["--photos", "{}/few", "--set", "3x4"], "at least 2x5"),
        (["--photos", "{}/few", "--set", "threexfour"], "is not CLASSESxPHOTOS"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_photos(tmp_path / "few", 4)
    done = run(*(each.format(tmp_path) for each in arguments), "--out", tmp_path / "out")
    assert done.exit_code != 0
    assert message in done.output


def test_folds_ask_about_each_photo_once() -> None:
    truth = np.repeat([0, 1], [30, 20])
    for parts in fold_trials(truth, 3):
        asked = np.concatenate([part.asked for part in parts])
        assert sorted(asked.tolist()) == list(range(50))
        assert all(set(part.known) | set(part.asked) == set(range(50)) for part in parts)


def test_a_few_photos_of_each_class_are_drawn_and_the_others_asked_about() -> None:
    truth = np.repeat([0, 1], [30, 20])
    drawn = few_trials(truth, 3, 4)
    assert len({tuple(part.known.tolist()) for (part,) in drawn}) == 4
    for (part,) in drawn:
        assert isinstance(part, Trial)
        assert np.bincount(truth[part.known]).tolist() == [3, 3]
        assert len(part.asked) == 44


def test_goals_are_in_percent_and_paired() -> None:
    public = [Accuracies("five folds", [0.97] * 6, [0.96] * 6, 0.01), Accuracies("3 photos a class", [0.8], [], None)]
    found = {goal.what: goal for goal in accuracy_goals(public, [Accuracies("50", [0.9], [0.95], 0.1)])}
    assert found["accuracy, %, five folds"].estimate.value == pytest.approx(97)
    assert found["accuracy less that with FP32 features, %, five folds"].estimate.low == pytest.approx(1)
    assert found["accuracy less that of scikit-learn, %, 50"].estimate.value == pytest.approx(-5)
    assert len(found) == 4


def test_ratios_are_of_whole_commands() -> None:
    commands = {OURS: [Taken(4.0, 6.0, 10**8)], ANEW: [Taken(80.0, 99.0, 10**9)], CACHED: [Taken(10.0, 9.0, 10**9)]}
    values = {goal.what: goal.estimate.value for goal in time_goals(commands, Clicks([0.5], [0.4]))}
    assert values[f"time over that of {ANEW}"] == pytest.approx(0.05)
    assert values[f"time over that of {CACHED}"] == pytest.approx(0.4)
    assert values[f"memory over that of {ANEW}"] == pytest.approx(0.1)
    assert values["s from the click, features ready"] == 0.5
