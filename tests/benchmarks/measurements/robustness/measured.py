"""A short run of the command, in limits where these can be set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.host.memory_cgroup import CgroupError, memory_cgroup
from tests.support.models.bundles import write_bundle
from tests.support.waiting import PATIENT


def measured(tmp_path: Path, *arguments: str, size: int = 32, **environment: str) -> Any:
    """The result of `python -m benchmarks robustness`, whose exit code must agree with its goals."""
    bundle = write_bundle(tmp_path / "v1", size=size)
    command = ["robustness", "--bundle", str(bundle), "--out", str(tmp_path), "--memory", memory(), *arguments]
    done = CliRunner(env=PATIENT | environment).invoke(main, command)
    assert "Robustness, " in done.output, done.output
    assert (done.exit_code == 0) == ("missed" not in done.output)
    return json.loads((tmp_path / "robustness.json").read_text())


def memory() -> str:
    try:
        with memory_cgroup(2**28):
            return "256m"
    except CgroupError:
        return "none"
