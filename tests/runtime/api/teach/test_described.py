"""Schemathesis holds every route of /teach to its description, as an administrator."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.api.security.keys import new_key
from tests.support.appliances.descriptions import assert_described
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.suite.repeats import repeats


@pytest.mark.thorough
def test_every_route_keeps_what_its_description_promises_an_administrator(tmp_path: Path) -> None:
    key, entry = new_key()
    bundle = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", str(tmp_path / "cache"))
    with appliance(tmp_path, *bundle, "--inbox-photos", "10", DANDELION_ADMIN_KEYS=entry) as server:
        chosen = ("--include-path-regex", "^/teach", "--header", f"X-API-Key: {key}")
        assert_described(server, tmp_path, *chosen, examples=repeats(15))
    assert "Traceback" not in server.log.read_text()
