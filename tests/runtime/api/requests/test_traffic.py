from __future__ import annotations

import base64
import math
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.serving.monitoring.drift import FEWEST
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

MEASUREMENT = {"x-traffic": "measurement"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("traffic")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v1"))) as running:
        yield running


def samples(server: Appliance) -> dict[tuple[str, ...], float]:
    text = httpx.get(server.url + "/metrics").text
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: dict[tuple[str, ...], float], name: str, *labels: str) -> float:
    return sum(value for key, value in found.items() if key[0] == name and set(labels) <= set(key))


def ask(server: Appliance, route: str, headers: dict[str, str]) -> None:
    data = photo("grass")
    if route == "/predict/batch":
        answer = httpx.post(server.url + route, files=[("files", ("a.jpg", data))], headers=headers)
    elif route.startswith("/v2"):
        one = {"name": "photos", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(data).decode()]}
        answer = httpx.post(server.url + route, json={"inputs": [one]}, headers=headers)
    else:
        answer = httpx.post(server.url + route, content=data, headers={"content-type": "image/jpeg"} | headers)
    assert answer.is_success, answer.text


def routes(server: Appliance) -> list[str]:
    name = httpx.get(server.url + "/model").json()["manifest"]["name"]
    return ["/predict", "/predict/batch", "/explain", f"/v2/models/{name}/infer"]


def test_a_measurement_counts_as_load_and_is_labelled_and_is_no_traffic_of_use(server: Appliance) -> None:
    for route in routes(server):
        before = samples(server)
        ask(server, route, MEASUREMENT)
        after = samples(server)

        def grown(name: str, *labels: str, before=before, after=after) -> float:
            return total(after, name, *labels) - total(before, name, *labels)

        assert grown("dandelion_predictions_total", "traffic=measurement") == 1, route
        assert grown("dandelion_predictions_total", "traffic=use") == 0, route
        assert grown("dandelion_confidence_count") == 0, route
        assert grown("dandelion_requests_total", "method=POST") == 1, route
        assert grown("dandelion_stage_seconds_count", "stage=total") == 1, route


def test_any_other_value_of_the_header_is_ignored(server: Appliance) -> None:
    before = samples(server)
    ask(server, "/predict", {"x-traffic": "health-check"})
    grown = total(samples(server), "dandelion_predictions_total", "traffic=use") - total(
        before, "dandelion_predictions_total", "traffic=use"
    )
    assert grown == 1


def test_measurements_alone_never_fill_the_window_of_drift(server: Appliance) -> None:
    with httpx.Client(base_url=server.url, headers={"content-type": "image/jpeg"} | MEASUREMENT) as client:
        for number in range(FEWEST + 10):
            client.post("/predict", content=photo("grass", number % 5))
    drift = [value for key, value in samples(server).items() if key[0] == "dandelion_drift"]
    assert drift
    assert all(math.isnan(value) for value in drift)  # NaN: too few photos to speak of
