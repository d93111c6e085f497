"""Temporary names: whole or not there, kept while their writer lives, removed once it is dead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.host.atomic import TEMPORARY, alone_in, remove_abandoned, remove_folder, temporary_folder, whole_file
from tests.support.suite.system_packages import needs_root

ROOT = Path(__file__).parents[3]

WRITER = """
import sys
from pathlib import Path
from runtime.host.atomic import temporary_folder, whole_file
root = Path(sys.argv[1])
with whole_file(root / "file") as part, temporary_folder(root) as folder:
    part.write_text("half")
    (folder / "inner").mkdir()
    with whole_file(folder / "inner" / "file") as inner:
        print("writing", flush=True)
        sys.stdin.read()
"""
REMOVER = """
import sys
from pathlib import Path
from runtime.host.atomic import remove_abandoned
print("removing", flush=True)
while True:
    remove_abandoned(Path(sys.argv[1]))
"""
BY_NOBODY = """
import os, sys
from pathlib import Path
from runtime.host.atomic import remove_abandoned
os.chdir(sys.argv[1])  # which an ancestor may forbid to others
os.setuid(65534)
assert os.listdir()
print(remove_abandoned(Path()))
"""


@contextmanager
def process(program: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun."""
    command = [sys.executable, "-c", program, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as running:  # type: ignore[call-overload]
        try:
            assert running.stdout.readline()
            yield running
        finally:
            running.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("old")
    with whole_file(file) as part:
        part.write_text("new")
        assert file.read_text() == "old"
        assert part.parent == tmp_path
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o644)
    assert names(tmp_path) == ["file"]


def test_a_file_that_is_not_finished_changes_nothing(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "file") as part:
        part.write_text("half" * (1 // 0))
    assert names(tmp_path) == []


def test_a_temporary_folder_is_gone_after_the_block(tmp_path: Path):
    with temporary_folder(tmp_path) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "file").touch()
        assert folder.parent == tmp_path
    assert names(tmp_path) == []


def test_what_was_renamed_out_of_a_temporary_folder_stays(tmp_path: Path):
    with temporary_folder(tmp_path) as folder:
        (folder / "v1").mkdir()
        (folder / "v1").rename(tmp_path / "v1")
    with temporary_folder(tmp_path) as folder:
        folder.rename(tmp_path / "v2")
    assert names(tmp_path) == ["v1", "v2"]


def test_a_folder_is_removed_with_what_is_in_it_and_one_that_is_missing_is_no_error(tmp_path: Path):
    (tmp_path / "v1" / "inner").mkdir(parents=True)
    (tmp_path / "v1" / "inner" / "file").touch()
    for folder in (tmp_path / "v1", tmp_path / "v1", tmp_path / "never" / "v1"):
        remove_folder(folder)
    assert names(tmp_path) == []


def test_what_a_dead_writer_left_is_removed_at_any_depth(tmp_path: Path):
    (tmp_path / "a" / f"{TEMPORARY}folder" / "v1").mkdir(parents=True)
    (tmp_path / "a" / f"{TEMPORARY}folder" / f"{TEMPORARY}file").touch()
    (tmp_path / "a" / "b").mkdir()
    (tmp_path / "a" / "b" / f"{TEMPORARY}file").touch()
    (tmp_path / "a" / "b" / "file").touch()
    (tmp_path / "a" / "b" / ".hidden").touch()
    assert remove_abandoned(tmp_path) == 2
    assert names(tmp_path / "a") == ["b"]
    assert names(tmp_path / "a" / "b") == [".hidden", "file"]
    assert remove_abandoned(tmp_path) == 0


def test_what_a_living_writer_has_stays_until_it_is_killed(tmp_path: Path):
    with process(WRITER, tmp_path) as writer:
        before = sorted(tmp_path.rglob("*"))
        assert remove_abandoned(tmp_path) == 0
        assert sorted(tmp_path.rglob("*")) == before
        assert len(before) == 4
        writer.kill()
        writer.wait()
        assert remove_abandoned(tmp_path) == 2
    assert names(tmp_path) == []


def test_a_writer_of_this_process_is_alive_too(tmp_path: Path):
    with whole_file(tmp_path / "file") as part, temporary_folder(tmp_path) as folder:
        assert remove_abandoned(tmp_path) == 0
        assert part.exists()
        assert folder.exists()


def test_writers_never_lose_anything_to_those_who_clean_up(tmp_path: Path):
    with process(REMOVER, tmp_path), process(REMOVER, tmp_path):
        for number in range(150):
            with whole_file(tmp_path / "file") as part:
                part.write_text(str(number))
            assert (tmp_path / "file").read_text() == str(number)
            with temporary_folder(tmp_path) as folder:
                (folder / "v1").mkdir()
                (folder / "v1" / "file").touch()
                (folder / "v1").rename(tmp_path / "v1")
            assert names(tmp_path / "v1") == ["file"]
            remove_folder(tmp_path / "v1")
    remove_abandoned(tmp_path)
    assert names(tmp_path) == ["file"]


def test_nobody_waits_for_a_pipe_or_follows_a_link(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    os.mkfifo(tmp_path / "here" / f"{TEMPORARY}pipe")
    (tmp_path / "here" / f"{TEMPORARY}link").symlink_to(tmp_path / "elsewhere")
    remove_abandoned(tmp_path / "here")
    assert names(tmp_path) == ["elsewhere", "here"]
    assert names(tmp_path / "here") == [f"{TEMPORARY}link"]


def test_a_folder_that_is_missing_has_nothing_abandoned(tmp_path: Path):
    assert remove_abandoned(tmp_path / "never") == 0


@needs_root
def test_what_belongs_to_others_stays_and_is_no_error(tmp_path: Path):
    tmp_path.chmod(0o755)
    (tmp_path / f"{TEMPORARY}file").touch()
    (tmp_path / f"{TEMPORARY}folder").mkdir()
    command = [sys.executable, "-c", BY_NOBODY, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "0\n"
    assert len(names(tmp_path)) == 2


def test_those_who_ask_for_a_folder_have_it_one_after_the_other(tmp_path: Path):
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(50):
            with alone_in(tmp_path):
                inside += 1
                most = max(most, inside)
                inside -= 1

    in_threads(enter, 4)
    assert most == 1


def in_threads(call: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
