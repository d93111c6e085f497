"""Where tests keep what emulation takes: programs that were compiled, Python for ARM64, and what was counted."""

from __future__ import annotations

from pathlib import Path

CACHE = Path(__file__).parents[3] / "var" / "emulated"  # as `python -m benchmarks instructions` does: fetched once
