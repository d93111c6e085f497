"""What a client writes into a path: a resource that cannot exist is none, in one JSON answer and no line of the log."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from runtime.store import open_store
from tests.support.appliances.following import ADMIN, Followed
from tests.support.appliances.servers import Appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

FORGED = "%00%0atime=2026-11-28T00:00:00%20level=INFO%20message=forged"
PARTS = [
    "%00",
    "..",
    "%2e%2e",
    "%2E.",
    "x" * 300,
    "latest.json",
    "latest",
    "%0a",
    "v1%0a",
    FORGED,
    "%1b%5b2J",
    ".hidden",
]
PARTS += [
    "%5c..%5c..%5cetc",
    "%e2%80%ae",
    "%ff%fe",
    "%c3%a9",
    "v9",
    "%20v1",
    "v1%20",
    "~",
    "%25%30%30",
    "..%00",
    "%9b31m",
]
ROUTES = [
    ("POST", "/models/{}/predict"),
    ("POST", "/models/{}/load"),
    ("GET", "/docs/assets/{}"),
    ("GET", "/v2/models/{}"),
]
ROUTES += [("GET", "/v2/models/{}/ready"), ("POST", "/v2/models/{}/infer"), ("GET", "/v2/models/colours/versions/{}")]
ROUTES += [("POST", "/v2/models/colours/versions/{}/infer"), ("GET", "/{}")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    followed = Followed(open_store(str(tmp_path_factory.mktemp("store") / "store")), tmp_path_factory.mktemp("host"))
    followed.publish("v1")
    with followed.serve() as running:
        yield running


def ask(server: Appliance, method: str, path: str) -> tuple[int, bytes]:
    """As it stands: other clients would tidy the path up."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    body, headers = (photo(), ADMIN | {"content-type": "image/jpeg"}) if method == "POST" else (None, {})
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_a_path_that_names_nothing_is_404_in_one_json_body(server: Appliance, method: str, route: str):
    for part in PARTS:
        status, body = ask(server, method, route.format(part))
        assert status == 404, (part, status, body)
        said = json.loads(body)
        text = said.get("detail") or said["error"]
        assert text.isprintable(), (part, text)
        assert len(text) < 400, part


def test_no_path_writes_a_line_of_the_log(server: Appliance):
    for method, route in ROUTES:
        ask(server, method, route.format(FORGED))
    log = server.log.read_text()
    assert "Traceback" not in log
    assert not any(line.startswith("time=2026-11-28T00:00:00") for line in log.splitlines())
    assert all(line.isprintable() for line in log.splitlines())


@pytest.mark.parametrize("version", ["\x00", "../v1", "v1\n", "x" * 300, "", ".", "é", 7, ["v1"], {"v": 1}])
def test_to_pin_what_is_no_version_is_400_and_says_what_is_wrong(server: Appliance, version: object):
    refused = httpx.post(server.url + "/models/pin", headers=ADMIN, json={"version": version})
    assert refused.status_code == 400
    detail = refused.json()["detail"]
    assert detail.startswith("Validation failed for POST /models/pin: ")
    assert detail.endswith("at `$.data.version`")
    assert detail.isprintable()
    assert len(detail) < 400


@pytest.mark.parametrize("version", ["v9", "latest", "latest.json"])
def test_to_pin_what_is_not_there_is_404_and_names_it(server: Appliance, version: str):
    refused = httpx.post(server.url + "/models/pin", headers=ADMIN, json={"version": version})
    assert refused.status_code == 404
    assert version in refused.json()["detail"]


def test_a_version_that_lies_in_the_folder_of_the_checkpoint_is_none(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("latest")
    followed = Followed(open_store(str(folder / "store")), folder)
    write_bundle(folder / "v1")
    followed.store.write("models/latest/best_model.pt", b"weights")
    followed.publish("v1")
    with followed.serve() as server:
        assert ask(server, "POST", "/models/latest/predict")[0] == 404
        assert ask(server, "POST", "/models/latest.json/load")[0] == 404
