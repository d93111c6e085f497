"""Child processes for heavy work, real ones: what they return, their crashes, their end."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from runtime.host.photo_limits import DEFAULT_LIMITS, PhotoLimits
from runtime.image import CorruptImage, ImageError, ImageSpec, ImageTooLarge, UnsupportedImage, decode_photo
from runtime.serving.offload import ChildDied, ChildPool, children_for, pool, process
from runtime.serving.offload.photos import HeavyPhotos
from runtime.serving.offload.process import Child, ChildEnded
from runtime.serving.scheduling.decoding_work import request_work
from tests.support.photos import photo
from tests.support.pictures.large_photos import flat_jpeg, flat_png
from tests.support.waiting import wait_until

SPEC = ImageSpec(height=32, width=48)
PHOTOS = {"JPEG": photo(), "large JPEG": flat_jpeg(4000, 3000), "large PNG": flat_png(2000, 1500)}


@pytest.fixture
def children() -> Iterator[ChildPool]:
    children = ChildPool(1)
    yield children
    children.close()
    assert children.running == 0


def fail(data: bytes, args: int) -> int:
    raise ZeroDivisionError(f"{len(data)} bytes and {args}")


def end(data: bytes, args: int) -> int:
    os._exit(args)


def read_to_end(data: bytes, args: int) -> int:
    threading.Event().wait(args)
    return len(data)


def print_garbage(data: bytes, args: int) -> int:
    """Write what is no answer into the pipe of answers: the only one that this process writes to."""
    for number in range(3, 64):
        with suppress(OSError):
            if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY and stat.S_ISFIFO(
                os.fstat(number).st_mode
            ):
                os.write(number, b"Hello, world. " * args)
    return len(data)


def call(
    children: ChildPool,
    function: Callable[[bytes, int], int],
    data: bytes,
    args: int,
    meanwhile: Callable[[Child], None] | None = None,
) -> int:
    with children.lease() as child:
        assert child is not None
        if meanwhile:
            threading.Timer(0.2, meanwhile, [child]).start()
        return child.call(function, data, args)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_child_decodes_as_this_process_does(children: ChildPool, name: str):
    decoded = HeavyPhotos(children, DEFAULT_LIMITS).decode(PHOTOS[name], SPEC)
    expected = decode_photo(PHOTOS[name], SPEC)
    assert np.array_equal(decoded.pixels, expected.pixels)
    assert decoded.damaged == expected.damaged
    assert children.running == 1


@pytest.mark.parametrize(
    ("data", "limits", "error"),
    [
        (b"no photo", DEFAULT_LIMITS, UnsupportedImage),
        (flat_png(2000, 1500)[:-2000], DEFAULT_LIMITS, CorruptImage),
        (flat_png(2000, 1500), PhotoLimits(max_pixels=1_000_000), ImageTooLarge),
    ],
)
def test_a_photo_that_is_refused_there_is_refused_alike(
    children: ChildPool, data: bytes, limits: PhotoLimits, error: type[ImageError]
):
    with pytest.raises(error) as here:
        decode_photo(data, SPEC, limits=limits)
    with pytest.raises(error) as there:
        HeavyPhotos(children, limits).decode(data, SPEC)
    assert there.value.args == here.value.args


def test_many_headers_are_measured_alike(children: ChildPool):
    photos = [*PHOTOS.values(), b"no photo"]
    here, there = request_work(photos, 48, DEFAULT_LIMITS), HeavyPhotos(children, DEFAULT_LIMITS).measure(photos, 48)
    assert [(work.cost, work.may_wait) for work in there] == [(work.cost, work.may_wait) for work in here]
    assert [str(work.refusal) for work in there] == [str(work.refusal) for work in here]


def test_what_fails_there_is_told_with_its_stack_and_the_child_goes_on(children: ChildPool):
    with children.lease() as child:
        assert child is not None
        with pytest.raises(RuntimeError, match="ZeroDivisionError: 3 bytes and 7"):
            child.call(fail, b"abc", 7)
        assert child.call(read_to_end, b"abc", 0) == 3


def test_one_that_ends_is_one_503_and_the_next_request_has_another(
    children: ChildPool, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(ChildDied, match="send it again in 1 s, or a smaller photo"):
        call(children, end, b"", 9)
    assert "a child process for heavy work ended: exit code 9" in caplog.text
    assert call(children, read_to_end, b"abcd", 0) == 4


def test_one_that_is_killed_at_work_is_told_alike(children: ChildPool):
    with pytest.raises(ChildDied):
        call(children, read_to_end, b"", 600, meanwhile=Child.kill)
    assert children.deaths == 1


def test_one_has_the_lowest_priority(children: ChildPool):
    with children.lease() as child:
        assert child is not None
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 19


def test_one_that_takes_too_long_is_ended(
    children: ChildPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    assert call(children, read_to_end, b"abc", 0) == 3
    monkeypatch.setattr(process, "CALL_S", 0.1)
    monkeypatch.setattr(pool, "IDLE_S", 0.5)
    with pytest.raises(ChildDied):
        call(children, read_to_end, b"", 600, meanwhile=Child.stop)
    assert "a child process for heavy work ended: it took longer than 0.1 s" in caplog.text


def test_one_that_never_starts_does_not_keep_the_work(
    children: ChildPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(process, "COMMAND", [sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(process, "CALL_S", 0.1)
    monkeypatch.setattr(pool, "IDLE_S", 0.5)
    with children.lease() as child:
        assert child is None
    assert "no child process can be started for heavy work (it took longer than 0.1 s)" in caplog.text


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.thorough), 100])
def test_one_that_answers_garbage_is_ended_and_its_answer_is_not_that_of_the_next_call(children: ChildPool, times: int):
    with pytest.raises(ChildDied):
        call(children, print_garbage, b"abc", times)
    assert call(children, read_to_end, b"abcd", 0) == 4


def test_an_answer_that_finds_no_memory_is_not_that_of_the_next_call(
    children: ChildPool, monkeypatch: pytest.MonkeyPatch
):
    def fail_to_read(pipe: IO[bytes]) -> None:
        pipe.read(4)
        raise MemoryError

    assert call(children, read_to_end, b"abc", 0) == 3
    with monkeypatch.context() as short:
        short.setattr(process, "read_frame", fail_to_read)
        with pytest.raises(ChildDied):
            call(children, read_to_end, b"abc", 0)
    assert call(children, read_to_end, b"abcd", 0) == 4


def test_one_that_is_stopped_holds_up_no_end(caplog: pytest.LogCaptureFixture):
    def close(child: Child) -> None:
        child.stop()
        children.close()

    children = ChildPool(1)
    with pytest.raises(ChildDied):
        call(children, read_to_end, b"", 600, meanwhile=close)
    assert not caplog.text
    with children.lease() as child:
        assert child is None


def test_modules_of_the_working_directory_are_not_those_of_a_child(
    children: ChildPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    with children.lease() as child:
        assert child is not None


def test_one_that_would_outlive_its_parent_is_not_stopped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "COMMAND", [sys.executable, "-c", "import time; time.sleep(600)"])
    child = Child()
    child.stop()
    assert Path(f"/proc/{child.pid}/stat").read_text().rsplit(") ")[1][0] != "T"
    child.kill()
    with pytest.raises(ChildEnded, match="SIGKILL"):
        child.wait_until_ready()


def test_one_that_is_stopped_waits_and_goes_on(children: ChildPool):
    with children.lease() as child:
        assert child is not None
        child.stop()
        threading.Timer(0.3, child.resume).start()
        assert child.call(read_to_end, bytes(5_000_000), 0) == 5_000_000


def test_it_says_how_long_one_takes_to_start(children: ChildPool):
    guessed_s = children.ready_in_s
    assert guessed_s > 0
    children.prepare()
    assert (children.running, children.ready_in_s) == (1, 0)
    children.prepare()
    assert children.running == 1
    with children.lease() as child:
        assert child
        assert children.running == 1
    assert ChildPool(0).ready_in_s == 0


def test_idle_ones_end(children: ChildPool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pool, "IDLE_S", 0.2)
    with children.lease() as child:
        assert child is not None
        pid = child.pid
    wait_until(lambda: children.running == 0, "the child has ended")
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "and is gone")


@pytest.mark.parametrize("command", [["/nowhere/python"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_where_none_can_be_started_the_work_is_done_here_and_that_is_said_once(
    command: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(process, "COMMAND", command)
    children = ChildPool(1)
    for _ in range(3):
        assert np.array_equal(HeavyPhotos(children, DEFAULT_LIMITS).decode(photo(), SPEC).pixels,
                              decode_photo(photo(), SPEC).pixels)  # fmt: skip
    assert caplog.text.count("no child process can be started for heavy work") == 1
    children.close()


def test_without_children_the_work_is_done_here():
    children = ChildPool(0)
    with children.lease() as child:
        assert child is None
    children.close()


@pytest.mark.parametrize(("memory_mib", "count"), [(128, 0), (256, 1), (512, 2), (4096, 8), (None, 8)])
def test_there_are_as_many_as_the_memory_has_room_for(
    memory_mib: int | None, count: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "memory_for_planning", lambda: memory_mib and memory_mib * 2**20)
    assert children_for(8) == count
