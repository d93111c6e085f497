"""OpenAPI document and docs page of a running appliance; Schemathesis holds every route to its description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.api.security.keys import new_key
from runtime.inference.backends import NATIVE
from tests.support.appliances.descriptions import assert_described
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import UNKNOWN_FROM_HALF, write_bundle
from tests.support.suite.repeats import THOROUGH, thorough_but

EXAMPLES = 25 if THOROUGH else 2  # of each route, in each phase
# What lies at the bounds of each parameter takes most of the time. It shows with other inputs what examples show.
PHASES = "examples,coverage,fuzzing,stateful" if THOROUGH else "examples,fuzzing"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("openapi")
    bundle = str(write_bundle(folder / "v1"))
    with appliance(folder, "--bundle", bundle, DANDELION_DATA=str(folder / "data")) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Appliance) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.mark.parametrize(
    "unknown", thorough_but([UNKNOWN_FROM_HALF], [None, UNKNOWN_FROM_HALF]), ids=["labels alone", "unknown class"]
)
def test_every_route_keeps_what_its_description_promises(tmp_path: Path, unknown: dict[str, float] | None) -> None:
    bundle = write_bundle(tmp_path / "v1", **({"unknown": unknown} if unknown else {}))
    with appliance(tmp_path, "--bundle", str(bundle), DANDELION_DATA=str(tmp_path / "data")) as server:
        # Without a key those of /teach say no, and the later the more often (`teach/test_described.py` has one).
        assert_described(server, tmp_path, "--exclude-path-regex", "^/teach", "--phases", PHASES, examples=EXAMPLES)
    assert "Traceback" not in server.log.read_text()


def test_the_documents_work_without_internet(client: httpx.Client) -> None:
    assert client.get("/").headers["location"] == "/docs"
    page = client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.text)
    assets = re.findall(r'(?:src|href)="(/docs/assets/[^"]+)"', page.text)
    assert len(assets) == 2
    for asset in assets:
        loaded = client.get(asset)
        assert loaded.headers["content-encoding"] == "gzip"
        assert len(loaded.text) > 50_000
    assert client.get("/docs/assets/passwd").status_code == 404


def test_the_openapi_document_tells_how_to_predict(client: httpx.Client) -> None:
    document = client.get("/docs/openapi.json").json()
    predict = document["paths"]["/predict"]["post"]
    assert {"multipart/form-data", "image/jpeg", "image/png", "image/webp"} <= predict["requestBody"]["content"].keys()
    assert {"200", "400", "413", "415", "422"} <= predict["responses"].keys()


def nodes(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(child)


def test_the_openapi_document_is_whole_and_stays_on_this_host(client: httpx.Client) -> None:
    answer = client.get("/docs/openapi.json")
    assert "://" not in answer.text
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    assert {"/predict", "/predict/batch", "/explain", "/model", "/metrics", "/health"} <= document["paths"].keys()
    operations = [node for node in nodes(document["paths"]) if "operationId" in node]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["responses"] and operation["summary"] for operation in operations)
    references = {node["$ref"] for node in nodes(document) if "$ref" in node}
    assert references <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


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
            admin = path in ADMIN or path.startswith("/teach")
            wanted = None if path in OPEN else KEYS if keyed or admin else [*KEYS, {}]
            assert operation.get("security") == wanted, path
            if wanted:
                assert {"401", "429"} <= operation["responses"].keys(), path
            if path in PHOTOS:
                assert {"400", "401", "403", "413", "415", "422", "503"} <= operation["responses"].keys(), path
    assert {"400", "401", "403", "413", "415", "503"} <= document["paths"]["/predict/batch"]["post"]["responses"].keys()
    assert {"401", "403", "413", "415", "503"} <= document["paths"]["/models/pin"]["post"]["responses"].keys()


def test_a_photo_can_be_chosen_as_a_file_on_the_api_page(client: httpx.Client) -> None:
    body = client.get("/docs/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    assert body["content"]["multipart/form-data"]["schema"]["properties"]["file"]["format"] == "binary"
    assert {"image/jpeg", "image/png", "image/webp"} <= set(body["content"])


def test_the_openapi_document_names_every_kernel_that_may_serve(client: httpx.Client) -> None:
    schemas = client.get("/docs/openapi.json").json()["components"]["schemas"]
    serving = schemas["Serving"]
    assert set(serving["properties"]["kernel"]["enum"]) == {*NATIVE, "fast", "exact", "fp32"}
    assert serving["properties"]["precision"]["enum"] == ["int8", "fp32"]
