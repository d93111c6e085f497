"""A new version proves itself in a child process, which may die where the appliance must not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runtime.bundle.manifest import Bundle, BundleError
from runtime.registry.state import StateFile
from runtime.serving.trial import process, runner
from runtime.serving.trial.process import TrialKilled, TrialStopped
from runtime.serving.trial.runner import TrialRunner
from tests.support.models.bundles import change_manifest, write_bundle
from tests.support.waiting import wait_until

STATE = "state.json"


def trials_in(tmp_path: Path, *, seconds: float = 60, memory_bytes: int | None = None) -> TrialRunner:
    return TrialRunner(StateFile(tmp_path / STATE), seconds=seconds, memory_bytes=memory_bytes)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "v1"))


def stand_in(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    monkeypatch.setattr(
        process, "COMMAND", [sys.executable, "-m", "tests.runtime.serving.trial.stand_in_trial", behaviour]
    )


def test_a_good_version_is_tried_once_and_remembered(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials_in(tmp_path).validate(bundle)
    assert trials_in(tmp_path).kernel_of(bundle) == "fast"
    stand_in(monkeypatch, "exits")
    trials_in(tmp_path).validate(bundle)  # after a restart, too: no child is asked


def test_wrong_answers_are_refused_and_may_be_tried_again(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "v1")
    case = {"pattern": "noise", "seed": 0}
    change_manifest(folder, golden=[case | {"probabilities": [p, 1 - p], "int8": [p, 1 - p]} for p in (0.0, 1.0)])
    with pytest.raises(BundleError, match=r"v1: .*wrong answers to its golden cases") as refused:
        trials_in(tmp_path).validate(Bundle.open(folder))
    assert not isinstance(refused.value, TrialKilled)
    assert not StateFile(tmp_path / STATE).read().refused


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("sleeps", r"did not end within 2 s \(DANDELION_TRIAL_S\)"),
        ("allocates=1000000000", r"did not survive its trial with 200 MiB to take .*exit code 1: MemoryError"),
        ("exits", r"did not survive its trial .*exit code 1: out of ideas"),
        ("killed", r"did not survive its trial .*SIGSEGV"),
    ],
)
def test_a_version_that_does_not_survive_is_remembered_with_its_reason(
    behaviour: str, reason: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"seconds": 2 if behaviour == "sleeps" else 60, "memory_bytes": 200 * 2**20}
    stand_in(monkeypatch, behaviour)
    with pytest.raises(TrialKilled, match=reason) as refused:
        trials_in(tmp_path, **limits).validate(bundle)  # type: ignore[arg-type]
    assert len(str(refused.value).splitlines()) == 1
    stand_in(monkeypatch, "passes")
    with pytest.raises(TrialKilled, match=reason):  # after a restart, too: no child is asked
        trials_in(tmp_path).validate(bundle)
    again = trials_in(tmp_path)
    again.forgive("v1")
    again.validate(bundle)


def test_what_may_be_taken_is_enough_for_what_fits(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "allocates=100000000")
    trials_in(tmp_path, memory_bytes=200 * 2**20).validate(bundle)


def test_another_manifest_of_the_version_is_another_trial(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "exits")
    with pytest.raises(TrialKilled):
        trials_in(tmp_path).validate(bundle)
    change_manifest(bundle.path, seed=1)
    stand_in(monkeypatch, "passes")
    trials_in(tmp_path).validate(Bundle.open(bundle.path))


def test_another_release_or_processor_tries_anew(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "exits")
    with pytest.raises(TrialKilled):
        trials_in(tmp_path).validate(bundle)
    monkeypatch.setattr(runner, "_host", lambda: "another")
    stand_in(monkeypatch, "passes")
    trials_in(tmp_path).validate(bundle)


def test_a_trial_is_ended_at_once_and_says_nothing_of_the_version(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "sleeps")
    trying = trials_in(tmp_path)
    threading.Timer(1, trying.stop).start()
    with pytest.raises(TrialStopped):
        trying.validate(bundle)
    assert not StateFile(tmp_path / STATE).read().refused
    with pytest.raises(TrialStopped, match="stopping"):
        trying.validate(bundle)


def test_one_version_is_on_trial_at_a_time_unless_it_is_an_operators(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "v1:sleeps")
    trying, ended = trials_in(tmp_path), threading.Event()

    def sleeper() -> None:
        with pytest.raises(TrialStopped):
            trying.validate(bundle)
        ended.set()

    threading.Thread(target=sleeper, daemon=True).start()
    wait_until(lambda: trying._running)
    other = Bundle.open(write_bundle(tmp_path / "v2"))
    with pytest.raises(TrialStopped, match="another version is being validated"):
        trying.validate(other)
    with trying.child_for("v2", runner.manifest_hash(other.path), at_once=True) as child:
        assert ended.wait(30)
        trying.validate(other, child)
    assert trying.kernel_of(other) == "fast"


CHILD_OF = """
import sys
from pathlib import Path
from runtime.bundle.manifest import Bundle
from runtime.registry.state import StateFile
from runtime.serving.trial import process
from runtime.serving.trial.runner import TrialRunner
process.COMMAND = [sys.executable, "-m", "tests.runtime.serving.trial.stand_in_trial", "sleeps"]
TrialRunner(StateFile(Path(sys.argv[1])), seconds=600, memory_bytes=None).validate(Bundle.open(Path(sys.argv[2])))
"""


def test_the_child_ends_with_the_appliance(bundle: Bundle, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", CHILD_OF, str(tmp_path / STATE), str(bundle.path)])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    wait_until(lambda: children.read_text().split())
    (child,) = map(int, children.read_text().split())
    time.sleep(1)  # until it has begun
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(child), seconds=60)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


DYING = """
import os, sys
from pathlib import Path
from runtime.registry.state import StateFile
from runtime.serving.trial.runner import TrialRunner
with TrialRunner(StateFile(Path(sys.argv[1])), seconds=60, memory_bytes=None).loading("v1"):
    os._exit(9)
"""


def test_a_version_that_ends_the_appliance_while_it_is_loaded_is_tried_again_and_then_refused(
    bundle: Bundle, tmp_path: Path
) -> None:
    trials_in(tmp_path).validate(bundle)
    for times in (1, 2):
        assert subprocess.run([sys.executable, "-c", DYING, str(tmp_path / STATE)]).returncode == 9
        assert StateFile(tmp_path / STATE).read().loads["v1"].times == times
        if times == 1:  # it may have been the power
            assert not trials_in(tmp_path)._is_proven("v1", runner.manifest_hash(bundle.path))
    with pytest.raises(TrialKilled, match="the appliance ended 2 times in a row while it loaded this version"):
        trials_in(tmp_path).validate(bundle)


def test_a_version_that_loads_well_clears_its_mark(bundle: Bundle, tmp_path: Path) -> None:
    trying = trials_in(tmp_path)
    with trying.loading("v1"):
        assert StateFile(tmp_path / STATE).read().loads
    assert StateFile(tmp_path / STATE).read().loads == {}
    with pytest.raises(RuntimeError), trying.loading("v1"):
        raise RuntimeError
    assert StateFile(tmp_path / STATE).read().loads == {}


def test_a_disk_that_is_read_only_is_no_reason_not_to_serve(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    trying = TrialRunner(StateFile(tmp_path / "file" / STATE), seconds=60, memory_bytes=None)
    trying.validate(bundle)
    with trying.loading("v1"):
        pass
