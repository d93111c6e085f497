"""Schemathesis reads the OpenAPI document of a running appliance and holds every route in it to its word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from runtime.api.security.keys import new_key
from tests.support.bundles import write_bundle
from tests.support.repeats import repeats
from tests.support.servers import appliance

ROOT = Path(__file__).parents[3]
EXAMPLES = repeats(25)  # of each route, in each phase


def test_every_route_keeps_what_its_description_promises(tmp_path: Path) -> None:
    bundle = str(write_bundle(tmp_path / "v1"))
    with appliance(tmp_path, "--bundle", bundle, DANDELION_DATA=str(tmp_path / "data")) as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", server.url + "/docs/openapi.json"]
        options = ["--checks", "all", "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"]
        hooks = {"SCHEMATHESIS_HOOKS": "tests.runtime.batch.photo_hooks", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command + options + ["--generation-database", "none", "--continue-on-failure"],
            cwd=tmp_path,
            env=os.environ | hooks,
            capture_output=True,
            text=True,
        )
        routes = httpx.get(server.url + "/docs/openapi.json").json()["paths"]
        operations = sum(len(operations) for operations in routes.values())
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{operations} selected / {operations} total" in done.stdout
    assert "Traceback" not in server.log.read_text()


KEYS = [{"ApiKey": []}, {"Bearer": []}]
ADMIN = {"/models/pin", "/models/rollback", "/models/{version}/load"}
OPEN = {"/health", "/health/live", "/health/ready", "/metrics"}
PHOTOS = {"/predict", "/explain", "/feedback", "/models/{version}/predict"}


@pytest.mark.parametrize("keyed", [False, True])
def test_the_document_knows_the_keys_and_every_refusal(tmp_path: Path, keyed: bool) -> None:
    keys = {"DANDELION_API_KEYS": new_key()[1]} if keyed else {}
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1")), **keys) as server:
        document = httpx.get(server.url + "/docs/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {"ApiKey": "apiKey", "Bearer": "http"}
    assert (schemes["ApiKey"]["in"], schemes["ApiKey"]["name"]) == ("header", "X-API-Key")
    assert schemes["Bearer"]["scheme"] == "bearer"
    for path, item in document["paths"].items():
        for operation in item.values():
            wanted = None if path in OPEN else KEYS if keyed or path in ADMIN else [*KEYS, {}]
            assert operation.get("security") == wanted, path
            if wanted:
                assert {"401", "429"} <= operation["responses"].keys(), path
            if path in PHOTOS:
                assert {"400", "401", "403", "413", "415", "422", "503"} <= operation["responses"].keys(), path
    assert {"400", "401", "403", "413", "415", "503"} <= document["paths"]["/predict/batch"]["post"]["responses"].keys()
    assert {"401", "403", "413", "415", "503"} <= document["paths"]["/models/pin"]["post"]["responses"].keys()


def test_a_photo_can_be_chosen_as_a_file_on_the_api_page(tmp_path: Path) -> None:
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1"))) as server:
        content = httpx.get(server.url + "/docs/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"][
            "content"
        ]
    assert content["multipart/form-data"]["schema"]["properties"]["file"]["format"] == "binary"
    assert {"image/jpeg", "image/png", "image/webp"} <= set(content)
