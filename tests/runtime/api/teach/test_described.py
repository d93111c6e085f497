"""Schemathesis holds every route of /teach to its description, as an administrator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runtime.api.security.keys import new_key
from tests.support.bundles import write_bundle
from tests.support.repeats import repeats
from tests.support.servers import appliance

ROOT = Path(__file__).parents[4]


def test_every_route_keeps_what_its_description_promises_an_administrator(tmp_path: Path) -> None:
    key, entry = new_key()
    bundle = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", str(tmp_path / "cache"))
    with appliance(tmp_path, *bundle, DANDELION_ADMIN_KEYS=entry) as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", server.url + "/docs/openapi.json"]
        options = ["--checks", "all", "--max-examples", str(repeats(15)), "--seed", "1", "--no-color"]
        chosen = ["--include-path-regex", "^/teach", "--header", f"X-API-Key: {key}", "--continue-on-failure"]
        hooks = {"SCHEMATHESIS_HOOKS": "tests.runtime.batch.photo_hooks", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*command, *options, *chosen, "--generation-database", "none"],
            cwd=tmp_path,
            env=os.environ | hooks,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in server.log.read_text()
