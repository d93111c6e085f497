"""The child process of a trial, as the appliance controls it: start, time-out, kill, crash report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Self

import msgspec

from runtime.bundle.manifest import BundleError
from runtime.host.child_process import environment_of_child
from runtime.names import NOT_JSON
from runtime.serving.trial.messages import TrialJob, TrialOutcome

COMMAND = [sys.executable, "-P", "-m", "runtime.serving.trial.child"]
GRACE_S = 5.0  # for a child to start, and to end itself when its time is up
MAX_SAID = 300  # characters of its last words


class TrialKilled(BundleError):
    """The child process of a trial crashed or ran out of time or memory."""


class TrialStopped(BundleError):
    """A trial was cancelled; this says nothing about the version."""


class TrialProcess:
    """A child process that waits for a job; it imports its modules while the bundle is downloaded."""

    def __init__(self) -> None:
        """Start the child."""
        self._stopped = self._late = False
        self._child = subprocess.Popen(
            [*COMMAND, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment_of_child(),
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child, whatever it does."""
        self._kill()
        self._child.communicate()

    def run(self, job: TrialJob) -> TrialOutcome:
        """Run the job in the child; raises TrialKilled if it crashes or times out, TrialStopped after `stop`."""
        deadline = threading.Timer(job.seconds + GRACE_S, self._end_late)
        deadline.daemon = True
        deadline.start()
        try:
            answer, said = self._child.communicate(msgspec.json.encode(job) + b"\n")
        finally:
            deadline.cancel()
        if self._stopped:
            raise TrialStopped("its trial was cancelled; it is retried later")
        try:
            return msgspec.json.decode(answer, type=TrialOutcome)
        except NOT_JSON as error:
            late = self._late or self._child.returncode == -signal.SIGALRM
            raise TrialKilled(_late(job) if late else _reason(self._child.returncode, said, job)) from error

    def stop(self) -> None:
        """Cancel the trial, from another thread."""
        self._stopped = True
        self._kill()

    def _end_late(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        if self._child.returncode is None:
            self._child.kill()


def _late(job: TrialJob) -> str:
    return f"its trial did not end within {job.seconds:g} s (DANDELION_TRIAL_S)"


def _reason(code: int, said: bytes, job: TrialJob) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    words = f": {lines[-1][:MAX_SAID]}" if lines else ""
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    limit = f" with {job.memory_bytes / 2**20:.0f} MiB to take (DANDELION_TRIAL_MEMORY_MB)" if job.memory_bytes else ""
    return f"it did not survive its trial{limit}: {how}{words}"
