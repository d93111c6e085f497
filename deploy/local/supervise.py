"""Run one command of Airflow, and end all that it started when it ends: `supervise.py NAME COMMAND...`.

NAME is airflow (the scheduler and its servers) or pipeline (one run, in the foreground). One of each may run for an
AIRFLOW_HOME. What a killed one left is ended before the next begins, and its runs are closed (`abandoned_runs.py`).
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
from abandoned_runs import close_abandoned_runs, say_which_are_paused

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux: whose parent has ended becomes a child of this process
GRACE_S = 20  # for the command to end its own processes
LAST_GRACE_S = 5
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Held(Exception):
    """Another one runs already."""


def main(name: str, command: list[str]) -> int:
    """Supervise; returns what the command did, 130 where a person ended it."""
    home = Path(os.environ["AIRFLOW_HOME"])
    try:
        lock = Lock(home / f"{name}.lock")
    except Held as held:
        print(f"{home}: {name} runs already ({held}); end that one first", file=sys.stderr)
        return 1
    end_all(left_by(lock.read_text()), grace_s=GRACE_S)
    close_abandoned_runs(of_scheduler=name == "airflow", of_pipeline=name == "pipeline" or is_free(home))
    if name == "airflow":
        say_which_are_paused(page())
    return supervise(name, command, lock, ready=say_ready if name == "airflow" else None)


class Lock:
    """A file that is locked for as long as this process lives; it tells the next which processes to look for."""

    def __init__(self, file: Path) -> None:
        """Raise Held where another process has it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Held(f"process {json.loads(self.read_text() or '{}').get('supervisor', '?')}") from error

    def read_text(self) -> str:
        """What the one before wrote."""
        self._file.seek(0)
        return self._file.read()

    def write_text(self, text: str) -> None:
        """Replace it."""
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        """Let others have it."""
        self._file.close()


def is_free(home: Path) -> bool:
    """Whether no pipeline runs in the foreground."""
    try:
        Lock(home / "pipeline.lock").close()
    except Held:
        return False
    return True


def supervise(
    name: str, command: list[str], lock: Lock, *, ready: Callable[[subprocess.Popen[bytes]], None] | None
) -> int:
    """Run `command` in a session of its own, so that the terminal's Ctrl-C reaches this process alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    ended = threading.Event()
    for number in ENDING:
        signal.signal(number, lambda *_: ended.set())
    with subprocess.Popen(command, start_new_session=True) as running:
        began = psutil.Process(running.pid).create_time()
        known = {"supervisor": os.getpid(), "session": running.pid, "began": began, "boot": psutil.boot_time()}
        lock.write_text(json.dumps(known))
        if ready:
            threading.Thread(target=ready, args=[running], daemon=True).start()
        while running.poll() is None and not ended.wait(0.2):
            pass
        if ended.is_set():
            print("ending; Airflow takes some seconds for that", flush=True)
            running.send_signal(signal.SIGINT)
            wait_for(running)
        end_all(descendants(running.pid), grace_s=LAST_GRACE_S)
    lock.write_text("")
    if ended.is_set():
        close_abandoned_runs(of_scheduler=name == "airflow", of_pipeline=name == "pipeline")
        print("ended", flush=True)
        return 130
    return running.returncode


def wait_for(running: subprocess.Popen[bytes]) -> None:
    """Wait for the command to end its own processes."""
    try:
        running.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        print(f"not ended within {GRACE_S} s: killed", flush=True)


def descendants(session: int) -> list[psutil.Process]:
    """What this process, or any below it, started, and what is in the command's session."""
    below = psutil.Process().children(recursive=True)
    return below + [one for one in in_session(session) if one not in below]


def left_by(text: str) -> list[psutil.Process]:
    """Airflow's processes that a killed supervisor left in its command's session.

    The number of a session is not given away while a process is in it. After that it may be another's, as after a new
    start of the machine: then its leader is younger, or its processes are not Airflow's.
    """
    left = json.loads(text) if text else {}
    if left.get("boot") != psutil.boot_time():
        return []
    leader = left["session"]
    if psutil.pid_exists(leader) and psutil.Process(leader).create_time() != left["began"]:
        return []
    found = [one for one in in_session(leader) if is_airflow(one)]
    if found:
        print(f"ending {len(found)} processes that a killed one left", flush=True)
    return found


def in_session(session: int) -> list[psutil.Process]:
    """The processes of a session."""
    found = []
    for one in psutil.process_iter():
        try:
            if os.getsid(one.pid) == session:
                found.append(one)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def is_airflow(process: psutil.Process) -> bool:
    """Whether it is one of Airflow's; its environment, which would say more, is overwritten by the title it takes."""
    try:
        return "airflow" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def end_all(processes: list[psutil.Process], *, grace_s: float) -> None:
    """End them: politely first."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for one in processes:
            try:
                end(one)
            except psutil.NoSuchProcess:
                continue
        _, processes = psutil.wait_procs(processes, timeout=grace_s)


def page() -> str:
    """Where Airflow's page is."""
    return f"http://localhost:{os.environ['AIRFLOW__API__PORT']}"


def say_ready(running: subprocess.Popen[bytes]) -> None:
    """Say once that the page answers."""
    while running.poll() is None:
        try:
            with urllib.request.urlopen(f"{page()}/api/v2/monitor/health", timeout=5):  # noqa: S310 - of this host
                print(f"\nnext: open {page()} (Ctrl-C ends Airflow)\n", flush=True)
                return
        except OSError:
            threading.Event().wait(1)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)
