"""One child process for heavy work, as the appliance controls it: start, call, stop and resume, end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from runtime.host.child_process import environment_of_child
from runtime.serving.offload.frames import Call, Reply, read_frame, widen, write_frame
from runtime.serving.offload.signature import signature_of

COMMAND = [sys.executable, "-P", "-m", "runtime.serving.offload.child"]
CALL_S = 300.0  # for a call, or to start: longer than any photo takes, and than any client waits
END_S = 5.0  # for a child to end after its input was closed
_SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED of <linux/posix-timers.h>: the clock of a process is made of its number

Args = TypeVar("Args")
Result = TypeVar("Result")


class ChildEnded(Exception):
    """A child process has ended, or could not be started; the message says how."""


class Child:
    """A child process that performs one call at a time. Not thread-safe, but for `stop`, `resume`, `kill`, `cpu_s`."""

    def __init__(self) -> None:
        """Start it; raises ChildEnded if that cannot be done."""
        try:
            self._process = subprocess.Popen(
                [*COMMAND, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment_of_child(),
                start_new_session=True,
            )
        except OSError as error:
            raise ChildEnded(str(error)) from error
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - pipes
        self._calls, self._answers = self._process.stdin, self._process.stdout
        widen(self._calls)
        self._stopped = False
        self._may_stop = False
        self._since: float | None = time.monotonic()
        self._killed_for = ""

    def wait_until_ready(self) -> None:
        """Wait until it has loaded its modules; raises ChildEnded if it ends before."""
        if read_frame(self._answers) is None:
            raise self._ended()
        self._may_stop = True
        if read_frame(self._answers) is None:
            raise self._ended()
        self._since = None

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def overdue(self) -> bool:
        """Whether it has been at a call, or has been starting, for too long."""
        since = self._since
        return since is not None and time.monotonic() - since > CALL_S

    def call(self, function: Callable[[bytes, Args], Result], data: bytes, args: Args) -> Result:
        """What the module-level `function` returns there.

        Raises ChildEnded if the child ends first, and RuntimeError with its stack if the function raises.
        """
        head = msgspec.msgpack.encode(
            Call(function.__module__, function.__name__, msgspec.Raw(msgspec.msgpack.encode(args)))
        )
        self._since = time.monotonic()
        try:
            write_frame(self._calls, head, data)
            result: Result = self._answer(signature_of(function).result)
        except OSError as error:
            raise self._ended() from error
        except (MemoryError, OverflowError, msgspec.MsgspecError) as error:
            # What is left of this answer in the pipe must not become that of the next call.
            raise self._ended(f"its answer could not be read ({type(error).__name__})") from error
        finally:
            self._since = None
        return result

    def _answer(self, result: Any) -> Any:
        """What came back, decoded as a `result`."""
        frame = read_frame(self._answers)
        if frame is None:
            raise self._ended()
        if msgspec.msgpack.decode(frame.head, type=Reply).failed:
            raise RuntimeError(frame.body.decode(errors="replace"))
        return msgspec.msgpack.decode(frame.body, type=result)

    def cpu_s(self) -> float:
        """The CPU time that it has used; 0 if the system does not say."""
        try:
            return time.clock_gettime(~self.pid << 3 | _SCHEDULER_CLOCK)
        except OSError:
            return 0.0

    def stop(self) -> None:
        """Stop it for a while, unless it has just been started: it would stay if the appliance were killed then."""
        if self._may_stop and not self._stopped:
            self._stopped = True
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._stopped:
            self._stopped = False
            self._process.send_signal(signal.SIGCONT)

    def kill(self, why: str = "") -> None:
        """End it at once; `why` is told to whoever waits for its answer."""
        self._killed_for = self._killed_for or why
        self._process.kill()

    def end(self) -> None:
        """End an idle one, and wait for that."""
        self.resume()
        with suppress(OSError):
            self._calls.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._answers.close()

    def _ended(self, why: str = "") -> ChildEnded:
        """That it has ended, or does now, because of `why`."""
        self.kill()
        code = self._process.wait()
        for pipe in (self._calls, self._answers):
            with suppress(OSError):
                pipe.close()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ChildEnded(self._killed_for or why or how)
