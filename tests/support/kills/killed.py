"""`python -m tests.support.kills.killed`: run operations in child processes, killed after so many s.

It has everything imported and forks for each operation, so that fifty of them take seconds. Orders come as lines of
JSON, `[operation, arguments, after_s]`, and so do the answers, `[was killed, seconds, orphans left]`, or what is wrong,
as text. What the operation started and left behind becomes a child of this process, which thereby knows when it is
gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3  # noqa: F401 - imported here, not by each that is forked

import runtime.serving.trial.process
from runtime.__main__ import main as command
from runtime.bundle.manifest import MODEL, Bundle
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.registry.state import StateFile
from runtime.serving.appliance import open_reloader
from runtime.serving.feedback import Feedback
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.taught.photos import TaughtPhoto, send_photos
from runtime.serving.taught.publisher import Publisher
from runtime.serving.trial.runner import TrialRunner
from runtime.store import open_store

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
ORPHANS_S = 10.0


def keep(store: Path | str, spool: Path | str, photo: Path | str) -> None:
    keeper, data = feedback(store, spool), Path(photo).read_bytes()
    keeper.keep(keeper.reserve(data, "grass", client="client"), data, "JPEG")


def send(store: Path | str, spool: Path | str) -> None:
    feedback(store, spool).send()


def publish_and_die(bundle: str, store: str, writes: str, fatal: str, when: str) -> None:
    """Publish, and die before or after the write with the number `fatal`; the file `writes` has their number."""
    count, replace = 0, Path.replace

    def counted(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if (count, when) == (int(fatal), "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        replaced = replace(self, target)
        if (count, when) == (int(fatal), "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return replaced

    Path.replace = counted  # type: ignore[method-assign, assignment]
    opened = open_store(store)
    publish(Path(bundle), opened, checkpoint=Path(bundle, MODEL), tag=Catalogue(opened).tag())
    Path(writes).write_text(str(count))


def offer(cache: str, bundle: str, models: str) -> None:
    """Publish a taught bundle to `models`, or to the host alone where that is empty."""
    settings = Settings(threads=1, workers=1, cache=Path(cache), models=models or None)
    Publisher(open_reloader(settings, Metrics())).offer(Path(bundle), serve=False)


def send_taught(data: str, photos: str) -> None:
    """Send all files of a folder, each named by its hash, as photos of one class."""
    taught = [TaughtPhoto("open", file.name, file) for file in sorted(Path(photos).iterdir())]
    send_photos(open_store(data), "gate", "d1", taught)


def validate(state: str, bundle: str, *trial: str) -> None:
    """A trial whose child is started by the command `trial`."""
    runtime.serving.trial.process.COMMAND = [*trial]
    trials(state).validate(Bundle.open(Path(bundle)))


def load(state: str, version: str) -> None:
    """Die while a version is loaded."""
    with trials(state).loading(version):
        os.kill(os.getpid(), signal.SIGKILL)


def feedback(store: Path | str, spool: Path | str) -> Feedback:
    return Feedback(open_store(str(store)), Path(spool), Metrics(), retry_s=60)


def trials(state: str) -> TrialRunner:
    return TrialRunner(StateFile(Path(state)), seconds=60, memory_bytes=None)


OPERATIONS: dict[str, Callable[..., object]] = {
    "command": lambda *arguments: command(arguments),
    "keep": keep,
    "send": send,
    "publish_and_die": publish_and_die,
    "offer": offer,
    "send_taught": send_taught,
    "validate": validate,
    "load": load,
}


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for line in sys.stdin:
        try:
            answer: object = run(*json.loads(line))
        except AssertionError as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


def run(operation: str, arguments: list[str], after_s: float | None) -> tuple[bool, float, int]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        do(OPERATIONS[operation], arguments, writer)
    os.close(writer)
    os.read(reader, 1)
    began = time.monotonic()
    select.select([reader], [], [], after_s)
    seconds = time.monotonic() - began
    if after_s is not None:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(reader)
    assert status in (0, -signal.SIGKILL), f"{operation} {arguments}: exit code {status}"
    return status != 0, seconds, orphans()


def do(operation: Callable[..., object], arguments: list[str], writer: int) -> None:
    """In the child: `writer` says that it begins, and by closing that it has ended."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.write(writer, b".")
    code: object = 1
    try:
        operation(*arguments)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code if isinstance(code, int) else 1)


def orphans() -> int:
    """How many of those that the child left behind do not end by themselves; they are killed."""
    deadline = time.monotonic() + ORPHANS_S
    left: set[int] = set()
    while True:
        try:
            gone, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return len(left)
        if not gone:
            time.sleep(0.005)
        if time.monotonic() > deadline:
            left.update(kill_children())


def kill_children() -> list[int]:
    children = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    return children


if __name__ == "__main__":
    main()
