"""`python -m tests.support.appliances.small_backbone FOLDER …`: `python -m runtime …`, taught with that backbone."""

from __future__ import annotations

import sys
from pathlib import Path

import runtime.teaching.backbone
from runtime.__main__ import main

if __name__ == "__main__":
    folder = Path(sys.argv.pop(1))
    runtime.teaching.backbone.default_backbone = lambda: folder
    sys.exit(main(prog_name="python -m runtime"))
