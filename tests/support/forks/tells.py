"""`python -m tests.support.forks.tells CODE …`: what a process sees of itself; its end is CODE, `raise`, `sleep`."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time

if __name__ == "__main__":
    atexit.register(print, "at exit")
    if sys.argv[1] == "raise":
        raise ValueError(sys.argv[1])
    if sys.argv[1] == "sleep":
        time.sleep(600)
    print(f"name={__name__} arguments={sys.argv}")
    variable, telemetry = os.environ.get("DANDELION_TEST"), os.environ.get("ORT_DISABLE_TELEMETRY")
    print(f"variable={variable} telemetry={telemetry} pid={os.getpid()} session={os.getsid(0)} group={os.getpgid(0)}")
    terminates = int(signal.getsignal(signal.SIGTERM))
    print(f"input={sys.stdin.buffer.read()!r} threads={threading.active_count()} sigterm={terminates}")
    sys.exit(int(sys.argv[1]))
