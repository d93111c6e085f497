"""onnxruntime's telemetry is off wherever onnxruntime is imported, whichever module is the first to do so."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Stands where onnxruntime would be imported: tells what its telemetry would see then, and goes no further.
WATCH = """
import os, runpy, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "onnxruntime":
            off = os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
            sys.stdout.write("telemetry is off" if off else "telemetry is on")
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Watch())
"""

MAY_IMPORT = re.compile(rb"\bimport\b.*\bonnxruntime\b|\bfrom onnxruntime\b")


def _imports(file: Path) -> bool:
    content = file.read_bytes()
    if not MAY_IMPORT.search(content):  # most files: to parse them all takes a second, in each worker
        return False
    for node in ast.walk(ast.parse(content)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(name.split(".")[0] == "onnxruntime" for name in names):
            return True
    return False


def importers() -> list[str]:
    """Every Python file of the repository that imports onnxruntime."""
    listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file() and _imports(ROOT / name)]


def _runs_alone(name: str) -> str:
    """How the file is run first: programs of other environments as files, with their own folder on the path."""
    if name.startswith("benchmarks/") and not (ROOT / name).with_name("__init__.py").exists():
        return f"sys.path.insert(0, {str((ROOT / name).parent)!r}); runpy.run_path({name!r})"
    return f"__import__({name.removesuffix('.py').replace('/', '.')!r})"


@pytest.mark.parametrize("name", importers())
def test_a_module_that_imports_onnxruntime_has_turned_its_telemetry_off(name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", WATCH + _runs_alone(name)],
        cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "telemetry is off", done.stderr


def test_the_modules_that_import_onnxruntime_are_found() -> None:
    assert {"runtime/inference/onnxruntime_session.py", "export/graph/quantise.py"} <= set(importers())
