from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import benchmarks.measurements.training.training_against
from benchmarks.__main__ import main
from benchmarks.contenders.checkouts import OTHER, THIS
from benchmarks.measurements.training.training_against import GATED, TrainingAgainstResult

# A stand-in for a checkout: it takes the same commands, leaves the same files, and works for `SPIN` steps to fit.
PROGRAM = """
import json, sys
from pathlib import Path

command, given = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
out = Path(given["--out"])
out.mkdir(parents=True, exist_ok=True)
if command == "fit":
    sum(range(SPIN))
    (out / NAME).touch()
if command == "evaluate":
    assert Path(given["--checkpoint"]).exists()
    (out / "metrics.json").write_text(json.dumps({"accuracy": {"value": 0.75}}))
if command == "build":
    sys.exit("Error: GATED: accuracy is 0.5; nothing was written")
if command == FAILS:
    sys.exit("Error: too few photos; add photos")
"""


def checkout(folder: Path, *, spin: int, name: str, fails: str = "") -> Path:
    program = f"NAME, SPIN, FAILS = {name!r}, {spin}, {fails!r}\n{PROGRAM.replace('GATED', GATED)}"
    for package in ("runtime", "training", "export"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
        (folder / package / "__main__.py").write_text(program)
    return folder


@pytest.fixture
def this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = checkout(tmp_path / "this", spin=1, name="model.pt")
    monkeypatch.setattr(benchmarks.measurements.training.training_against, "ROOT", made)
    (tmp_path / "photos").mkdir()
    return made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["training", *map(str, arguments)])


def test_every_step_of_both_checkouts_is_timed_in_turn(this: Path, tmp_path: Path) -> None:
    other = checkout(tmp_path / "other", spin=20_000_000, name="best_model.pt")
    ran = run("--against", other, "--photos", tmp_path / "photos", "--repeat", 2, "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((tmp_path / "training-against.json").read_bytes(), type=TrainingAgainstResult)
    assert [row.step for row in result.rows] == ["fetch", "prepare", "fit", "evaluate", "build", "make train"]
    assert {name: [one.accuracy for one in rounds] for name, rounds in result.rounds.items()} == {
        THIS: [0.75, 0.75],
        OTHER: [0.75, 0.75],
    }
    fit = next(row for row in result.rows if row.step == "fit")
    assert fit.cpu_ratio.value < 1
    assert [goal.what for goal in result.goals] == [
        f"{step}: {what} over the other's" for step in ("fit", "make train") for what in ("time", "CPU time")
    ]
    assert "validation accuracy, this checkout: 0.7500, 0.7500" in ran.stdout


def test_evaluation_and_export_can_be_left_out(this: Path, tmp_path: Path) -> None:
    ran = run("--against", this, "--photos", tmp_path / "photos", "--fit-only", "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((tmp_path / "training-against.json").read_bytes(), type=TrainingAgainstResult)
    assert [row.step for row in result.rows] == ["fetch", "prepare", "fit"]


def test_a_step_that_fails_is_named_with_its_reason(this: Path, tmp_path: Path) -> None:
    other = checkout(tmp_path / "other", spin=1, name="model.pt", fails="prepare")
    ran = run("--against", other, "--photos", tmp_path / "photos", "--out", tmp_path)
    assert ran.exit_code == 1
    assert f"{other}: " in ran.stderr
    assert "python -m training prepare failed: Error: too few photos; add photos" in ran.stderr


@pytest.mark.parametrize(
    ("photos", "message"),
    [((), "name them with --photos (DANDELION_PHOTOS)"), (("--photos", "none"), "none: is not a folder")],
)
def test_photos_that_are_not_there_are_asked_for(
    this: Path, tmp_path: Path, photos: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DANDELION_PHOTOS", raising=False)
    ran = run("--against", this, "--out", tmp_path, *photos)
    assert ran.exit_code == 1
    assert message in ran.stderr


def test_a_folder_that_is_no_checkout_is_refused(this: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = run("--against", tmp_path / "empty", "--photos", tmp_path / "photos", "--out", tmp_path)
    assert ran.exit_code == 1
    assert "name the folder of a checkout" in ran.stderr
