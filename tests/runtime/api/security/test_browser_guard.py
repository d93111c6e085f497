"""What a browser sends for another site, against a real appliance; its own page and named sites are let in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.host.server_process import ServerError
from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

APP = "https://app.example"
EVIL = "http://evil.example"
JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("browsers")
    bundle = str(write_bundle(folder / "v7"))
    settings = {"DANDELION_CORS": APP, "DANDELION_HOSTS": "meadow.example", "DANDELION_DATA": str(folder / "data")}
    with appliance(folder, "--bundle", bundle, **settings) as running:
        yield running


def predict(server: Appliance, **headers: str) -> httpx.Response:
    return httpx.post(server.url + "/predict", content=photo(), headers=JPEG | named(headers))


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def rejected(server: Appliance, reason: str) -> float:
    return metric(server, "dandelion_rejections_total", reason=reason)


def test_a_form_of_another_site_leaves_no_correction(server: Appliance) -> None:
    before = rejected(server, "origin")
    form = {"files": {"file": photo()}, "data": {"label": "grass"}}
    refused = httpx.post(server.url + "/feedback", headers={"origin": EVIL}, **form)  # type: ignore[arg-type]
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith(f"`Origin: {EVIL}` is another site's")
    assert refused.headers["x-request-id"]
    assert rejected(server, "origin") == before + 1
    assert httpx.post(server.url + "/feedback", **form).status_code == 202  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict"),
        ("POST", "/predict/batch"),
        ("POST", "/explain"),
        ("POST", "/models/pin"),
        ("POST", "/models/v7/predict"),
        ("POST", "/v2/models/dandelion-classifier/infer"),
        ("PUT", "/predict"),
        ("DELETE", "/models/v7"),
        ("POST", "/nowhere"),
    ],
)
def test_no_route_takes_anything_from_another_site(server: Appliance, method: str, path: str) -> None:
    for headers in ({"origin": EVIL}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert httpx.request(method, server.url + path, headers=headers).status_code == 403


def test_a_host_that_was_rebound_is_refused_to_browsers_alone(server: Appliance) -> None:
    before = rejected(server, "host")
    refused = predict(server, host="evil.example", origin=EVIL)
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("`Host: evil.example` is no name of this appliance")
    assert rejected(server, "host") == before + 1
    assert predict(server, host="evil.example").status_code == 200  # no browser
    assert predict(server, host="meadow.example", origin="http://meadow.example").status_code == 200


def test_the_same_origin_is_answered_as_a_plain_client_is(server: Appliance) -> None:
    for headers in ({}, {"origin": server.url}, {"origin": server.url, "sec_fetch_site": "same-origin"}):
        answer = predict(server, **headers)
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


def test_reading_needs_no_origin_of_ours(server: Appliance) -> None:
    answer = httpx.get(server.url + "/model", headers={"origin": EVIL, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 200  # which its browser shows to no other site
    assert "access-control-allow-origin" not in answer.headers


def test_a_named_origin_may_ask_and_read(server: Appliance) -> None:
    answer = predict(server, origin=APP, sec_fetch_site="cross-site")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers
    refusal = httpx.post(server.url + "/predict", content=b"text", headers={"origin": APP, "content-type": "text/css"})
    assert refusal.status_code == 415
    assert refusal.headers["access-control-allow-origin"] == APP
    assert "retry-after" in refusal.headers["access-control-expose-headers"]
    assert httpx.get(server.url + "/model", headers={"origin": APP}).headers["access-control-allow-origin"] == APP


def test_a_preflight_is_answered_for_named_origins_alone(server: Appliance) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key,content-type"}
    answer = httpx.options(server.url + "/predict", headers={"origin": APP} | asks)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == APP
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"]
    refused = httpx.options(server.url + "/predict", headers={"origin": EVIL} | asks)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


def test_the_forwarded_host_counts_from_trusted_proxies_alone(tmp_path: Path) -> None:
    bundle = str(write_bundle(tmp_path / "v7"))
    outside = {"host": "dandelion", "origin": "https://meadow.example", "x_forwarded_host": "meadow.example"}
    with appliance(tmp_path, "--bundle", bundle, DANDELION_HOSTS="meadow.example") as server:
        refused = predict(server, **outside)
        assert refused.status_code == 403
        assert "DANDELION_TRUSTED_PROXIES" in refused.json()["detail"]
    settings = {"DANDELION_HOSTS": "meadow.example", "DANDELION_TRUSTED_PROXIES": "127.0.0.1"}
    with appliance(tmp_path, "--bundle", bundle, **settings) as server:
        assert predict(server, **outside).status_code == 200
        spoofed = outside | {"x_forwarded_host": "meadow.example, evil.example", "origin": EVIL}
        assert predict(server, **spoofed).status_code == 403


@pytest.mark.parametrize("settings", [{"DANDELION_CORS": "*"}, {"DANDELION_HOSTS": "http://meadow"}])
def test_a_bad_value_is_one_line_that_names_the_variable(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(ServerError, match=f"Error: {next(iter(settings))}: "), appliance(tmp_path, **settings):
        pass
