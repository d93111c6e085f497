"""Schemathesis: requests made from an appliance's OpenAPI document, and whether the answers keep what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.appliances.servers import Appliance

ROOT = Path(__file__).parents[3]


def assert_described(server: Appliance, folder: Path, *options: str, examples: int) -> None:
    """Ask each route `examples` times in each phase; `options` choose routes. `folder` is one to work in."""
    document = server.url + "/docs/openapi.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", document, "--checks", "all"]
    always = ["--max-examples", str(examples), "--seed", "1", "--no-color", "--generation-database", "none"]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.runtime.batch.photo_hooks", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *always, "--continue-on-failure", *options],
        cwd=folder,
        env=os.environ | hooks,
        capture_output=True,
        text=True,
    )
    operations = sum(len(operations) for operations in httpx.get(document).json()["paths"].values())
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"selected / {operations} total" in done.stdout
