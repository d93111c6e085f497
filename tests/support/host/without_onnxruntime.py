"""A process in which onnxruntime cannot be imported, as where it is not installed; its child processes are alike."""

from __future__ import annotations

import os
from pathlib import Path

BLOCK = "import sys\nsys.modules['onnxruntime'] = None\n"


def without_onnxruntime(folder: Path) -> dict[str, str]:
    """What is to be set in the environment of such a process; `folder` is made for the file that does it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCK)
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)}
