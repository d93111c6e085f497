"""The database: older ones are migrated, newer and damaged ones left alone; kills and full disks lose nothing."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runtime.teaching.workspace import schema
from runtime.teaching.workspace.database import FILE
from runtime.teaching.workspace.errors import NotThere, Unusable
from runtime.teaching.workspace.files import INBOX
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
from tests.runtime.teaching.workspace.test_history import add
from tests.support.suite.repeats import repeats

ROOT = Path(__file__).parents[4]


def test_a_workspace_is_as_it_was_when_it_is_opened_again(workspace: Workspace, dataset: str, tmp_path: Path) -> None:
    add(workspace, dataset, 1)
    before = workspace.datasets.get(dataset, "")
    workspace.close()
    again = Workspace(tmp_path / "teaching", Bounds())
    assert again.datasets.get(dataset, "") == before
    again.close()


def test_no_other_user_of_the_host_sees_the_photos(workspace: Workspace) -> None:
    assert workspace.database.file.parent.stat().st_mode & 0o777 == 0o700


def test_an_older_database_is_migrated_and_keeps_what_it_has(
    workspace: Workspace, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "ALTER TABLE datasets ADD COLUMN future TEXT;"))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setattr("runtime.teaching.workspace.database.VERSION", schema.VERSION)
    again = Workspace(tmp_path / "teaching", Bounds())
    assert again.datasets.get(dataset, "").name == "meadow"
    with again.database.reading() as connection:
        assert connection.execute("SELECT future FROM datasets").fetchone()[0] is None
        assert schema.version_of(connection) == schema.VERSION
    again.close()


def test_a_newer_database_is_refused_by_its_version_and_not_touched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(Unusable, match=rf"has schema version {schema.VERSION + 1}, and this release knows"):
        Workspace(tmp_path, Bounds())
    assert (tmp_path / FILE).read_bytes() == before


def test_what_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(Unusable, match=r"teaching\.db: cannot be used .* move it away to begin anew"):
        Workspace(tmp_path, Bounds())
    assert (tmp_path / FILE).read_bytes() == b"no database" * 100


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "teaching").touch()
    with pytest.raises(
        Unusable, match=r"teaching: cannot be used \(File exists\); make it a folder that can be written"
    ):
        Workspace(tmp_path / "teaching", Bounds())


def test_a_place_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(Unusable, match=r"^/proc/teaching: cannot be used"):
        Workspace(Path("/proc/teaching"), Bounds())


def test_files_that_a_killed_process_left_are_removed_and_no_others(
    workspace: Workspace, dataset: str, tmp_path: Path
) -> None:
    photo = add(workspace, dataset, 1)
    workspace.close()
    old = tmp_path / "teaching" / "photos" / dataset / ("0" * 64)
    new = old.with_name("1" * 64)
    for file in (old, new):
        file.write_bytes(b"left")
    os.utime(old, (1, 1))
    again = Workspace(tmp_path / "teaching", Bounds())
    assert {file.name for file in old.parent.iterdir()} == {photo, new.name}
    again.close()


def test_a_photo_that_is_refused_leaves_no_file(workspace: Workspace, dataset: str, tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="there is no class 'moss'"):
        add(workspace, dataset, 1, "moss")
    assert not [each for each in (tmp_path / "teaching").rglob("*") if each.is_file() and dataset in each.parts]
    photo = add(workspace, dataset, 1, "grass")
    workspace.photos.remove(dataset, [photo])
    with pytest.raises(NotThere):
        add(workspace, dataset, 1, "moss")
    assert workspace.files.photo(dataset, photo).exists()  # undo brings it back


def test_what_a_kill_left_of_a_deleted_dataset_is_removed(workspace: Workspace, dataset: str, tmp_path: Path) -> None:
    add(workspace, dataset, 1)
    version = workspace.files.models(dataset) / "v1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(b"weights")
    kept = workspace.datasets.create("another")
    workspace.files.models(kept).mkdir(parents=True)
    waiting = workspace.inbox.file("0" * 64)
    workspace.files.write_photo(INBOX, "0" * 64, b"written just now")
    workspace.datasets.delete(dataset)  # and killed before it came to the files
    workspace.close()
    again = Workspace(tmp_path / "teaching", Bounds())
    assert not [each for each in (tmp_path / "teaching").rglob("*") if dataset in each.parts]
    assert again.files.models(kept).exists()
    assert waiting.exists()
    again.close()


def test_threads_change_a_dataset_at_once_and_none_is_lost(workspace: Workspace, dataset: str) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 20):
            add(workspace, dataset, number)

    threads = [threading.Thread(target=work, args=[100 * thread]) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workspace.datasets.classes(dataset)[1].photos == 120


_CHANGES = """
import itertools, sys
from pathlib import Path
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
from tests.runtime.teaching.workspace.test_history import add
workspace = Workspace(Path(sys.argv[1]), Bounds())
dataset = workspace.datasets.create("x")
workspace.datasets.add_class(dataset, "grass")
for number in itertools.count():
    photo = add(workspace, dataset, number)
    workspace.photos.label(dataset, [photo], None)
    if number % 3 == 0:
        workspace.photos.remove(dataset, [photo])
        workspace.photos.undo(dataset)
    print(number, flush=True)
"""


def test_a_kill_in_the_middle_loses_nothing_and_leaves_nothing_half(tmp_path: Path) -> None:
    chance = random.Random(3)  # noqa: S311
    for round_ in range(repeats(6)):
        folder = tmp_path / str(round_)
        command = [sys.executable, "-c", _CHANGES, str(folder)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            said = child.stdout.readline()
            time.sleep(chance.uniform(0, 0.2))
            child.send_signal(signal.SIGKILL)
            last = int((said + child.stdout.read()).splitlines()[-1])
        workspace = Workspace(folder, Bounds())
        (dataset,) = (each.id for each in workspace.datasets.all())
        with workspace.database.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        photos = [photo for _, photo in workspace.photos.known()]
        assert len(photos) >= last + 1
        assert all(workspace.files.photo(dataset, photo).stat().st_size == 4 for photo in photos)
        while workspace.datasets.get(dataset, "").undo:
            workspace.photos.undo(dataset)
        workspace.close()


_FILL = """
import sys
from pathlib import Path
from runtime.teaching.workspace.errors import NoRoom
from runtime.teaching.workspace.photos import NewPhoto
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
folder = Path(sys.argv[1])
workspace = Workspace(folder / "teaching", Bounds())
dataset = workspace.datasets.create("x")
ballast = folder / "ballast"
ballast.write_bytes(bytes(2**20))
try:
    for number in range(10_000):
        workspace.photos.add(dataset, NewPhoto("n", number.to_bytes(4, "big") * 10_000, b""), None, "upload")
except NoRoom as error:
    print(error)
count = len(workspace.photos.known())
ballast.unlink()
assert workspace.photos.add(dataset, NewPhoto("n", b"one more", b""), None, "upload").outcome == "added"
known = workspace.photos.known()
assert len(known) == count + 1, (len(known), count)
assert all(workspace.files.photo(*each).stat().st_size for each in known)
print("went on with", len(known))
"""


def on_a_small_disk(program: str, tmp_path: Path) -> str:
    """What a program prints that gets a disk of 6 MB as its argument."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "fill.py"
    script.write_text(program)
    inside = f"mount -t tmpfs -o size=6m none {disk} && PYTHONPATH={ROOT} {sys.executable} {script} {disk}"
    done = subprocess.run(["unshare", "--mount", "--map-root-user", "sh", "-c", inside], capture_output=True, text=True)
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("needs user namespaces")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_is_named_nothing_is_lost_and_it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    printed = on_a_small_disk(_FILL, tmp_path)
    assert "is full" in printed
    assert "make room there and do it again, nothing was lost" in printed
    assert "went on with" in printed


_OPEN_ON_FULL = """
import sys
from pathlib import Path
from runtime.teaching.workspace.errors import NoRoom
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
folder = Path(sys.argv[1])
workspace = Workspace(folder / "teaching", Bounds())
workspace.datasets.create("x")
workspace.close()
ballast = (folder / "ballast").open("wb", buffering=0)
try:
    while True:
        ballast.write(bytes(4096))
except OSError:
    pass
try:
    Workspace(folder / "teaching", Bounds())
except NoRoom as error:
    print(error, "|", error.__cause__.sqlite_errorname)
"""


def test_a_full_disk_is_named_where_sqlite_tells_an_io_error(tmp_path: Path) -> None:
    printed = on_a_small_disk(_OPEN_ON_FULL, tmp_path)
    assert "is full" in printed
    assert "SQLITE_IOERR" in printed


_FAIL = """
import resource, sys
from pathlib import Path
from runtime.teaching.workspace.database import FILE
from runtime.teaching.workspace.errors import Unusable
from runtime.teaching.workspace.photos import NewPhoto
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]), Bounds())
dataset = workspace.datasets.create("x")
log = workspace.database.file.with_name(FILE + "-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 10_000, resource.RLIM_INFINITY))
try:
    for number in range(10_000):
        workspace.photos.add(dataset, NewPhoto("n", str(number).encode(), b""), None, "upload")
except Unusable as error:
    print(error)
count = len(workspace.photos.known())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert workspace.photos.add(dataset, NewPhoto("n", b"one more", b""), None, "upload").outcome == "added"
assert len(workspace.photos.known()) == count + 1
print("went on")
"""


def test_a_disk_that_fails_is_not_called_full_and_it_goes_on_once_it_works(tmp_path: Path) -> None:
    script = tmp_path / "fail.py"
    script.write_text(_FAIL)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script, tmp_path / "teaching"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "the disk fails to read or write it (disk I/O error, SQLITE_IOERR_WRITE), and is not full" in done.stdout
    assert "went on" in done.stdout
