"""The inbox on disk: kept once, within bounds, through kills and upgrades."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.teaching.report import Report
from runtime.teaching.workspace import schema
from runtime.teaching.workspace.files import INBOX
from runtime.teaching.workspace.inbox import DAY_S, Doubtful, InboxBounds
from runtime.teaching.workspace.photos import NewPhoto
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
from tests.support.suite.repeats import repeats

ROOT = Path(__file__).parents[4]
ANSWER = Doubtful("uncertain", "grass", 0.4, "colours", "v1")
ALONE = InboxBounds(3, 1000, 1)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Workspace]:
    """Three photos, of a thousand bytes together, for a day."""
    workspace = Workspace(tmp_path / "small", Bounds(), ALONE)
    yield workspace
    workspace.close()


def kept(workspace: Workspace) -> list[bytes]:
    """The photos that wait, the newest first."""
    return [workspace.inbox.read(one.sha256) for one in workspace.inbox.page(None, None, 100)]


def test_the_bounds_hold_and_the_oldest_go_first(small: Workspace) -> None:
    for number in range(5):
        assert small.inbox.keep(bytes([number]), ANSWER)
        small.inbox.tidy()
    assert kept(small) == [b"\4", b"\3", b"\2"]
    assert small.inbox.keep(bytes(999), ANSWER)
    assert small.inbox.tidy() == {"expired": 0, "oldest": 2}
    assert [len(photo) for photo in kept(small)] == [999, 1]
    assert small.inbox.tidy(time.time() + DAY_S + 1) == {"expired": 2, "oldest": 0}
    assert kept(small) == []
    assert not list(small.inbox.file("").glob("*"))


def test_deleting_all_of_it_deletes_what_a_kill_left_too(small: Workspace) -> None:
    small.inbox.keep(b"known", ANSWER)
    small.files.write_photo(INBOX, "0" * 64, b"written just before a kill")
    assert small.inbox.delete_all().waiting == 1
    assert not list(small.inbox.file("").glob("*"))
    assert small.inbox.keep(b"another", ANSWER)
    assert kept(small) == [b"another"]


def test_a_photo_that_is_in_a_dataset_does_not_come(small: Workspace) -> None:
    from tests.runtime.teaching.workspace.test_history import add

    dataset = small.datasets.create("meadow")
    small.datasets.add_class(dataset, "grass")
    add(small, dataset, 7)
    assert not small.inbox.keep((7).to_bytes(4, "big"), ANSWER)
    assert small.inbox.keep(b"another", ANSWER)


def test_what_was_rejected_is_forgotten_when_it_would_be_too_old(small: Workspace) -> None:
    small.inbox.keep(b"x", ANSWER)
    (one,) = small.inbox.page(None, None, 10)
    assert small.inbox.settle([one.sha256], "rejected") == 1
    assert small.inbox.settle([one.sha256], "rejected") == 0
    assert not small.inbox.keep(b"x", ANSWER)
    small.inbox.tidy(time.time() + DAY_S + 1)
    assert small.inbox.keep(b"x", ANSWER)


def test_a_workspace_of_the_release_before_gets_an_inbox_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        before.setattr(schema, "VERSION", 1)
        before.setattr("runtime.teaching.workspace.database.VERSION", 1)
        before.setattr("runtime.teaching.workspace.inbox.Inbox.known", lambda _: [])
        older = Workspace(tmp_path, Bounds())
        dataset = older.datasets.create("meadow")
        older.close()
    now = Workspace(tmp_path, Bounds(), ALONE)
    assert now.datasets.name_of(dataset) == "meadow"
    assert now.inbox.keep(b"x", ANSWER)
    now.close()
    again = Workspace(tmp_path, Bounds(), ALONE)
    assert kept(again) == [b"x"]
    again.close()


_KEEPING = """
import itertools, sys
from pathlib import Path
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
from tests.runtime.teaching.workspace.test_inbox import ALONE, ANSWER
workspace = Workspace(Path(sys.argv[1]), Bounds(), ALONE)
for number in itertools.count():
    workspace.inbox.keep(b"%d" % number, ANSWER)
    workspace.inbox.tidy()
    print(number, flush=True)
"""


def test_after_a_kill_every_photo_that_waits_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.teaching.workspace.files.UNCLAIMED_S", -60.0)  # as if long ago
    chance = random.Random(5)  # noqa: S311
    for round_ in range(repeats(4)):
        folder = tmp_path / str(round_)
        command = [sys.executable, "-c", _KEEPING, str(folder)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            child.stdout.readline()
            time.sleep(chance.uniform(0, 0.1))
            child.send_signal(signal.SIGKILL)
        workspace = Workspace(folder, Bounds(), ALONE)
        found = kept(workspace)
        assert 0 < len(found) <= ALONE.photos + 1  # one more if it was not tidied
        assert len(list((folder / "photos" / INBOX).iterdir())) == len(found)
        workspace.close()


def test_a_report_stays_outdated_once_photos_that_it_counts_were_deleted(small: Workspace) -> None:
    dataset = small.datasets.create("meadow")
    small.datasets.add_class(dataset, "grass")
    small.photos.add(dataset, NewPhoto("kept.jpg", b"kept", b""), "grass", "upload")
    small.photos.add(dataset, NewPhoto("inbox.jpg", b"from the inbox", b""), "grass", "inbox")
    report = Report(2, 2, 1.0, (0.3, 1.0), 1.0, 1.0, 1.0, 0.0, [], [], [])
    small.runs.learned(dataset, report, "v1", small.runs.learned_from(dataset))
    small.photos.label(dataset, [hashlib.sha256(b"kept").hexdigest()], None)
    small.inbox.delete_all()
    small.photos.undo(dataset)
    assert small.datasets.get(dataset, "").outdated
