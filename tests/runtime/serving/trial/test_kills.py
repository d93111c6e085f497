"""Appliances that are killed while a version is on trial, or being loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import runtime.serving.trial.process
from runtime.bundle.manifest import Bundle
from runtime.registry.state import StateFile, UnfinishedLoad
from runtime.serving.trial.runner import TrialKilled, TrialRunner
from tests.support.kills.killing import Killer
from tests.support.models.bundles import write_bundle
from tests.support.suite.repeats import repeats

KILLS, KILLS_OF_THE_REAL_CHILD = repeats(50), repeats(5)
LASTS_S, IMPORTING_S = 0.2, 1.0  # from the beginning of a trial, long enough to be everywhere in it

BEGIN = "import sys, time; from runtime.host.child_process import end_with_parent\nend_with_parent(int(sys.argv[1]));"
SLEEPS = [sys.executable, "-c", f"{BEGIN} time.sleep(60)"]
ANSWERS = [sys.executable, "-c", f'{BEGIN} sys.stdin.readline(); print(\'{{"kernel": "exact"}}\')']
REAL = "import time; from runtime.serving.trial import child; child._try = lambda folder: time.sleep(60); child.main()"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "v1"))


@pytest.fixture
def state(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state.json")


@pytest.fixture
def trials(state: StateFile, monkeypatch: pytest.MonkeyPatch) -> TrialRunner:
    """It takes a version's word for what it can do."""
    monkeypatch.setattr(runtime.serving.trial.process, "COMMAND", ANSWERS)
    return TrialRunner(state, seconds=60, memory_bytes=None)


@pytest.mark.parametrize(
    ("times", "trial", "lasts_s"),
    [(KILLS, SLEEPS, LASTS_S), (KILLS_OF_THE_REAL_CHILD, [sys.executable, "-c", REAL], IMPORTING_S)],
    ids=["stand-in", "real"],
)
def test_a_killed_appliance_takes_its_trial_along_and_judges_nothing(
    kills: Killer, bundle: Bundle, state: StateFile, trials: TrialRunner, tmp_path: Path, times: int, trial: list[str],
    lasts_s: float,
):  # fmt: skip
    def look(number: int) -> None:
        assert (state.read().proven, state.read().refused) == ({}, {})
        assert state.read().last_good == "v0"

    state.change(last_good="v0")
    order = ("validate", tmp_path / "state.json", bundle.path, *trial)
    kills.kill_often(times, lambda number: order, look, lasts_s=lasts_s)
    trials.validate(bundle)
    assert trials.kernel_of(bundle) == "exact"


def test_a_trial_whose_appliance_is_gone_before_it_begins_ends_at_once():
    command = [*runtime.serving.trial.process.COMMAND, "1"]  # another's child
    assert subprocess.run(command, input=b"", capture_output=True).returncode == 1


def test_a_version_whose_loading_was_killed_once_is_tried_again_and_serves(
    kills: Killer, bundle: Bundle, state: StateFile, trials: TrialRunner, tmp_path: Path
):
    trials.validate(bundle)
    assert kills.run("load", tmp_path / "state.json", "v1").killed
    assert state.read().loads == {"v1": UnfinishedLoad(times=1)}
    with trials.child_for("v1", state.read().proven["v1"].manifest_sha256) as trial:
        assert trial
        trials.validate(bundle, trial)
    with trials.child_for("v1", state.read().proven["v1"].manifest_sha256) as trial:
        assert trial is None  # once is enough
    with trials.loading("v1"):
        trials.validate(bundle)  # for somebody else, meanwhile
    assert state.read().loads == {}


def test_a_version_whose_loading_was_killed_twice_is_refused_whatever_is_loaded_between(
    kills: Killer, bundle: Bundle, state: StateFile, trials: TrialRunner, tmp_path: Path
):
    for _ in range(2):
        with trials.loading("v0"):
            pass  # what served before, at each start
        trials.validate(bundle)
        assert kills.run("load", tmp_path / "state.json", "v1").killed
    for reason in ("ended 2 times in a row while it loaded this version", "is not retried unless an operator"):
        with pytest.raises(TrialKilled, match=reason):
            trials.validate(bundle)
    assert state.read().loads == {}
    trials.forgive("v1")
    trials.validate(bundle)
    with trials.loading("v1"):
        pass
