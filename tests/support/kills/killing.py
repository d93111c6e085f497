"""Kills at random moments, for tests of what they leave."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from runtime.host.atomic import TEMPORARY

ROOT = Path(__file__).parents[3]
SEED = "KILL_SEED"  # a variable of the environment, to have the same moments again
FEW = 20
MEASURED = 3  # undisturbed runs; the last KEPT say how long one takes now
KEPT = 5
BUSIER = 4  # times as many kills at most
BEYOND = 1.2  # of that duration: the last moments, too, and the one after the end


class Run(NamedTuple):
    """`orphans` are processes that it left and that did not end."""

    killed: bool
    seconds: float
    orphans: int


class Killer:
    """`scratch` is the folder for temporary files of what it runs; `log` is what that says."""

    def __init__(self, process: subprocess.Popen[str], scratch: Path, log: Path) -> None:
        self.scratch = scratch
        self._process = process
        self._log = log

    def run(self, operation: str, *arguments: object, after_s: float | None = None) -> Run:
        """An operation of tests/support/kills/killed.py, killed `after_s` seconds; None lets it come to its end."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([operation, [*map(str, arguments)], after_s]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, self._log.read_text()
        found = json.loads(answer)
        assert not isinstance(found, str), f"{found}\n{self._log.read_text()}"
        return Run(*found)

    def kill_often(
        self, kills: int, order: Callable[[int], tuple[object, ...]], look: Callable[[int], None], *, lasts_s: float = 0
    ) -> None:
        """Kill `order(number)`, an operation with its arguments, at random moments, and `look(number)` each time.

        Its duration is measured, unless it `lasts_s`. A third at least must not have come to their end; of few, one,
        for which more are tried if need be: it may have been measured while the machine was busier.
        """
        seed = int(os.environ.get(SEED) or random.SystemRandom().getrandbits(32))
        moments = random.Random(seed)  # noqa: S311 - nobody is to be surprised
        durations = deque([lasts_s] if lasts_s else self._measured(order, look), maxlen=KEPT)
        killed, number = 0, 0
        while number < kills or (not killed and number < BUSIER * kills):
            after_s = moments.random() * BEYOND * median(durations)
            try:
                run = self.run(*_names(order(number)), after_s=after_s)
                assert not run.orphans, "a process stayed"
                look(number)
            except BaseException as error:
                error.add_note(f"kill {number}, after {after_s * 1000:.2f} ms; again with {SEED}={seed}")
                raise
            killed += run.killed
            if not run.killed:
                durations.append(run.seconds)
            number += 1
        assert killed >= (kills / 3 if kills > FEW else 1), f"only {killed} of {kills} kills came before the end"

    def _measured(self, order: Callable[[int], tuple[object, ...]], look: Callable[[int], None]) -> Iterator[float]:
        for number in range(MEASURED):
            yield self.run(*_names(order(number))).seconds
            look(number)


@contextmanager
def killer(folder: Path, **environment: str) -> Iterator[Killer]:
    scratch, log = folder / "scratch", folder / "killed.log"
    scratch.mkdir(parents=True)
    surroundings = os.environ | environment | {"TMPDIR": str(scratch), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.kills.killed"]
    with (
        log.open("w") as stream,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream, env=surroundings, cwd=ROOT, text=True
        ) as process,
    ):
        yield Killer(process, scratch, log)
        process.kill()


def left_over(*folders: Path) -> list[str]:
    """What has a temporary name, of this release or an earlier one, in and below `folders`."""
    found = (path for folder in folders for path in folder.rglob(".*"))
    return [str(path) for path in found if path.name.startswith((TEMPORARY, ".pull-"))]


def _names(order: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(map(str, order))
