"""`python -m tests.runtime.serving.trial.stand_in_trial BEHAVIOUR PARENT`: a child on trial that may end badly.

BEHAVIOUR is `sleeps`, `allocates=BYTES`, `exits`, `killed` or `passes`; `VERSION:BEHAVIOUR` holds for that version,
and any other passes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from runtime.serving.trial import child
from runtime.serving.trial.messages import TrialOutcome


def behave(folder: Path, wanted: str) -> TrialOutcome:
    *version, behaviour = wanted.split(":")
    if version and version != [folder.name]:
        behaviour = "passes"
    name, _, amount = behaviour.partition("=")
    if name == "sleeps":
        time.sleep(600)
    if name == "allocates":
        bytearray(int(amount))
    if name == "exits":
        sys.exit("out of ideas")
    if name == "killed":
        os.kill(os.getpid(), signal.SIGSEGV)
    return TrialOutcome(kernel="fast")


if __name__ == "__main__":
    child._try = partial(behave, wanted=sys.argv.pop(1))
    child.main()
