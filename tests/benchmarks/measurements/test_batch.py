from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.commands.batch import batch
from benchmarks.measurements.batch import IN_PROCESS, NARROW, TASK, BatchResult, batch_goals
from dags.settings import BATCH
from runtime.batch.plan import PHOTOS_PER_PART
from runtime.host.cpu import available_cpus
from tests.support.photos import write_photos


def run(*arguments: object):
    return CliRunner().invoke(main, ["batch", *map(str, arguments)])


def test_tasks_are_measured_against_decoding_and_inference_alone(tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 2)
    ran = run("--photos", photos, "--photos-per-task", 6, "--rounds", 2, "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.endswith(f"made {tmp_path / 'batch.json'}\n")
    result = msgspec.json.decode((tmp_path / "batch.json").read_bytes(), type=BatchResult)
    assert {IN_PROCESS, TASK, NARROW} <= result.rates.keys()
    assert len(result.rates) == (4 if available_cpus() > 1 else 3)
    assert all(len(rates) == 2 and min(rates) > 0 for rates in result.rates.values())
    assert len(result.goals) == len(result.rates) - 2


def test_a_task_has_as_many_photos_as_in_the_dag():
    (measured,) = [option.default for option in batch.params if option.name == "per_task"]
    (scheduled,) = [setting.default for setting in BATCH if setting.name == "photos_per_task"]
    assert measured == scheduled == PHOTOS_PER_PART


def test_the_goals_are_ratios_of_medians():
    rates = {IN_PROCESS: [500.0] * 6, TASK: [450.0] * 6, NARROW: [240.0] * 6, "2 tasks at once": [432.0] * 6}
    share, gain = batch_goals(rates, 2)
    assert share.estimate.value == pytest.approx(0.9)
    assert gain.estimate.value == pytest.approx(1.8)
    assert gain.limit == pytest.approx(1.6)


def test_a_folder_without_photos_is_refused_before_anything_is_measured(tmp_path: Path):
    ran = run("--photos", tmp_path, "--out", tmp_path)
    assert ran.exit_code != 0
    assert not (tmp_path / "batch.json").exists()
