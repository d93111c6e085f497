from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from benchmarks.host.server_process import ServerError
from runtime.api.security.keys import BadKeys, new_key, read_keys
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

KEY, ENTRY = new_key()
ADMIN_KEY, ADMIN_ENTRY = new_key()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("guard")
    with appliance(
        folder,
        "--bundle",
        str(write_bundle(folder / "v7")),
        DANDELION_API_KEYS=f"kiosk={ENTRY}, {new_key()[1]}",
        DANDELION_ADMIN_KEYS=ADMIN_ENTRY,
        DANDELION_WRONG_KEYS="1000",
        DANDELION_LOG_FORMAT="json",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("impatient")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7")), DANDELION_UPLOAD_PATIENCE_S="0.5") as running:
        yield running


def predict(server: Appliance, **headers: str) -> httpx.Response:
    return httpx.post(server.url + "/predict", files={"file": photo()}, headers=headers)


def test_a_known_key_is_let_in_either_way_and_an_administrator_too(server: Appliance):
    for headers in ({"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"x-api-key": ADMIN_KEY}):
        assert predict(server, **headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "guess"}, {"authorization": "Basic eDp5"}, {"x-api-key": ENTRY}])
def test_anybody_else_is_told_how_to_come_in(server: Appliance, headers: dict[str, str]):
    refused = predict(server, **headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json() == {
        "status_code": 401,
        "detail": "this appliance asks for an API key; send it as the header `X-API-Key`, or as "
        "`Authorization: Bearer …`",
    }


def test_an_api_key_is_no_administrators_key(server: Appliance):
    assert httpx.post(server.url + "/models/rollback", headers={"x-api-key": KEY}).status_code == 401


def test_health_metrics_and_documents_stay_open(server: Appliance):
    for path in ("/health", "/health/live", "/health/ready", "/metrics", "/docs", "/docs/openapi.json"):
        assert httpx.get(server.url + path).status_code == 200, path
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/colours/ready"):
        assert httpx.get(server.url + path).status_code == 200, path


@pytest.mark.parametrize("path", ["/model", "/models", "/v2", "/v2/models/colours"])
def test_what_describes_the_model_needs_the_key_that_predicts(server: Appliance, path: str):
    assert httpx.get(server.url + path).status_code == 401
    assert httpx.get(server.url + path, headers={"x-api-key": "guess"}).status_code == 401
    for key in (KEY, ADMIN_KEY):
        assert httpx.get(server.url + path, headers={"x-api-key": key}).status_code == 200


def test_a_list_of_keys_that_cannot_be_read_stops_the_start_without_showing_it():
    for text in (KEY, "sha256:123", f"{ENTRY};{ENTRY}", "name=plain"):
        with pytest.raises(BadKeys, match="DANDELION_API_KEYS: entry 1 is not") as refused:
            read_keys(text, "DANDELION_API_KEYS")
        assert text not in str(refused.value)
    assert read_keys(None, "X") == read_keys(" , ", "X") == frozenset()


@pytest.mark.parametrize("path", ["/health", "/docs", "/nowhere", "/metrics"])
def test_every_answer_has_the_headers_that_browsers_heed(server: Appliance, path: str):
    headers = httpx.get(server.url + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    whose = "'none'" if path in {"/health", "/nowhere"} else "'self'"  # data or not
    assert f"default-src {whose}" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_a_request_id_is_taken_over_or_made(server: Appliance):
    assert (
        httpx.get(server.url + "/health", headers={"x-request-id": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    )
    for bad in ("a b", "x" * 65, "<script>", ""):
        made = httpx.get(server.url + "/health", headers={"x-request-id": bad}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_head_asks_for_health_without_a_body(server: Appliance):
    for path in ("/health", "/health/live", "/health/ready"):
        answer = httpx.head(server.url + path)
        assert (answer.status_code, answer.content) == (200, b"")


BY_THE_FAST_PATH, BY_THE_ROUTES = "content-length: 99999", "transfer-encoding: chunked"


def half_a_request(server: Appliance, way: str) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    head = [
        "POST /predict HTTP/1.1",
        "host: x",
        "content-type: image/jpeg",
        way,
    ]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + b"400\r\n\xff\xd8")
    return connection


@pytest.mark.parametrize("way", [BY_THE_FAST_PATH, BY_THE_ROUTES])
def test_an_upload_that_stops_is_ended(impatient: Appliance, way: str):
    with half_a_request(impatient, way) as connection:
        assert b"408 Request Timeout" in connection.recv(4096)


@pytest.mark.parametrize("way", [BY_THE_FAST_PATH, BY_THE_ROUTES])
def test_an_upload_that_trickles_is_ended(impatient: Appliance, way: str):
    with half_a_request(impatient, way) as connection:
        deadline = time.monotonic() + 60
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() < deadline:
            with suppress(ConnectionError):  # it is ended, and the answer is there to read
                connection.sendall(b"x")
            with suppress(TimeoutError):
                answer = connection.recv(4096)
        assert b"408 Request Timeout" in answer


def test_the_log_is_json_and_knows_no_key(server: Appliance):
    text = server.log.read_text()
    assert all(json.loads(line).keys() >= {"time", "level", "message", "request"} for line in text.splitlines())
    assert KEY not in text
    assert ADMIN_KEY not in text


def test_a_bad_variable_of_keys_is_one_line(tmp_path: Path):
    with (
        pytest.raises(ServerError, match=r"Error: DANDELION_ADMIN_KEYS: entry 2 is not"),
        appliance(tmp_path, DANDELION_ADMIN_KEYS=f"{ENTRY},oops"),
    ):
        pass
