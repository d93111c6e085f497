"""How OpenMP's threads wait for each other: asleep, not spinning."""

from __future__ import annotations

import os

WAITING = "OMP_WAIT_POLICY"


def sleep_at_barriers() -> None:
    """Let PyTorch's threads sleep while they wait, unless the environment says otherwise; call it before the import.

    A layer ends when its last thread does. On a host that does other work as well, that thread is often not running,
    and the others would spin all the while (`benchmarks/NOTES.md`, "Training it").
    """
    os.environ.setdefault(WAITING, "PASSIVE")
