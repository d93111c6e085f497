"""How often a test repeats what it does: as often as it says if THOROUGH is set, which `make test-all` does."""

from __future__ import annotations

import os

SHORTER = 6
THOROUGH = bool(os.environ.get("THOROUGH"))


def repeats(full: int) -> int:
    """`full` in the thorough run; a sixth of it, but at least 5, in the shorter one."""
    return full if THOROUGH else min(full, max(5, full // SHORTER))
