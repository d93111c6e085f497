"""Teaching over HTTP, from photos to a model that serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.api.security.keys import new_key
from runtime.teaching.backbone import Backbone
from tests.runtime.api.teach.test_datasets import send
from tests.support.appliances.servers import appliance
from tests.support.models.backbones import module_with_backbone
from tests.support.models.bundles import write_bundle
from tests.support.photos import draw_other, encode, photo
from tests.support.waiting import wait_until

LABELS = ("dandelion", "grass")
WITHIN_S = 60.0


def wait_for(client: httpx.Client, path: str, state: str = "done") -> dict[str, Any]:
    """The dataset when its run has ended, in the state that is expected."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        dataset: dict[str, Any] = client.get(path).json()
        if dataset["run"]["state"] in {"done", "failed", "cancelled"}:
            assert dataset["run"]["state"] == state, dataset["run"]
            return dataset
        time.sleep(0.05)
    raise AssertionError(f"the teaching did not end within {WITHIN_S} s")


def filled(client: httpx.Client, path: str, each: int = 8, first: int = 100) -> None:
    for label in LABELS:
        send(client, path, *range(first, first + each), label=label)


@pytest.fixture
def taught(client: httpx.Client, dataset: str) -> str:
    filled(client, dataset)
    assert client.post(f"{dataset}/train").status_code == 202
    wait_for(client, dataset)
    return dataset


def test_photos_become_a_model_with_a_report(client: httpx.Client, dataset: str) -> None:
    filled(client, dataset)
    begun = client.post(f"{dataset}/train")
    assert begun.status_code == 202
    assert begun.json()["run"]["state"] in {"waiting", "features", "learning", "checking"}
    taught = wait_for(client, dataset)
    assert taught["run"]["seconds"] > 0
    assert taught["waiting"] == 0
    report = taught["report"]
    assert report["photos"] == 16
    assert [each["label"] for each in report["classes"]] == list(LABELS)
    assert report["accuracy"] > 0.8
    assert taught["version"]
    assert not taught["outdated"]
    assert all(each["ready"] for each in client.get(f"{dataset}/photos").json()["photos"])


def test_a_report_is_outdated_once_labelled_photos_change_and_is_not_once_that_is_undone(
    client: httpx.Client, taught: str
) -> None:
    client.post(f"{taught}/photos", files=[("files", ("u.jpg", photo("grass", 1)))])
    assert not client.get(taught).json()["outdated"]
    client.patch(taught, json={"name": "another"})
    assert not client.get(taught).json()["outdated"]
    send(client, taught, 2)
    assert client.get(taught).json()["outdated"]
    assert not client.post(f"{taught}/undo").json()["outdated"]


def test_the_taught_model_is_tried_beside_the_one_that_serves(client: httpx.Client, taught: str) -> None:
    before = client.get("/metrics").text
    for label in LABELS:
        answer = client.post(f"{taught}/try", content=photo(label, 900), headers={"content-type": "image/jpeg"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["taught"]["label"] == label
        assert set(answer.json()) == {"taught", "serving", "same_product"}
        assert not answer.json()["same_product"]
    strange = client.post(f"{taught}/try", files={"file": ("x.jpg", encode(draw_other("rings", 3)))}).json()
    assert 0 <= strange["taught"]["unknown_probability"] <= 1
    predictions = [line for line in client.get("/metrics").text.splitlines() if "dandelion_predictions" in line]
    assert predictions == [line for line in before.splitlines() if "dandelion_predictions" in line]
    broken = client.post(f"{taught}/try", content=b"x", headers={"content-type": "image/jpeg"})
    assert broken.status_code == 415


def test_what_is_missing_is_said_before_anything_is_begun(client: httpx.Client) -> None:
    path = f"/teach/{client.post('/teach', json={'name': 'x'}).json()['id']}"
    assert client.post(f"{path}/train").status_code == 409
    client.put(f"{path}/classes", json={"label": "grass"})
    send(client, path, 1, 2)
    answer = client.post(f"{path}/train")
    assert (answer.status_code, "one class alone" in answer.json()["detail"]) == (409, True), answer.text
    client.put(f"{path}/classes", json={"label": "dandelion"})
    answer = client.post(f"{path}/train")
    assert answer.status_code == 409
    assert "'grass' has 2 photos: 1 more, 'dandelion' has no photo: 3 more" in answer.json()["detail"]
    assert client.get(path).json()["run"] is None
    for rest, method in (("serve", "POST"), ("model", "DELETE")):
        refused = client.request(method, f"{path}/{rest}")
        assert (refused.status_code, "nothing has been taught yet" in refused.json()["detail"]) == (409, True)
    tried = client.post(f"{path}/try", content=photo(), headers={"content-type": "image/jpeg"})
    assert (tried.status_code, "nothing has been taught yet" in tried.json()["detail"]) == (409, True)


def test_a_class_of_copies_fails_and_says_so(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, *range(5), label="dandelion")
    files = [("files", (f"{n}.jpg", photo("grass", 77) + bytes(n))) for n in range(4)]
    client.post(f"{dataset}/photos", params={"label": "grass"}, files=files)
    assert client.post(f"{dataset}/train").status_code == 202
    failed = wait_for(client, dataset, "failed")
    assert "copies of one" in failed["run"]["detail"]
    assert failed["report"] is None
    assert client.get("/health").json()["reasons"] == []  # which anybody may read: it is no fault of the appliance


def test_a_second_teaching_waits_for_the_first(client: httpx.Client, dataset: str) -> None:
    filled(client, dataset)
    other = f"/teach/{client.post('/teach', json={'name': 'other'}).json()['id']}"
    for label in LABELS:
        client.put(f"{other}/classes", json={"label": label})
    filled(client, other, first=300)
    assert client.post(f"{dataset}/train").status_code == client.post(f"{other}/train").status_code == 202
    wait_for(client, dataset)
    wait_for(client, other)


def test_a_model_that_is_thrown_away_is_gone_and_the_photos_stay(client: httpx.Client, taught: str) -> None:
    thrown = client.delete(f"{taught}/model")
    assert thrown.status_code == 200
    assert [thrown.json()[key] for key in ("report", "version", "outdated")] == [None, None, False]
    assert [each["photos"] for each in thrown.json()["classes"]] == [8, 8]
    assert client.delete(f"{taught}/model").status_code == 409


def test_nothing_to_cancel_is_refused(client: httpx.Client, taught: str) -> None:
    answer = client.delete(f"{taught}/train")
    assert (answer.status_code, answer.json()["detail"]) == (409, "this dataset is not being taught")


def test_with_one_bundle_that_serves_a_taught_one_is_refused(client: httpx.Client, taught: str) -> None:
    answer = client.post(f"{taught}/serve")
    assert (answer.status_code, "DANDELION_BUNDLE" in answer.json()["detail"]) == (409, True), answer.text


def test_teaching_is_measured(client: httpx.Client, taught: str) -> None:
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    assert float(lines['dandelion_teach_photos_total{outcome="added"}']) >= 16
    assert float(lines['dandelion_teach_runs_total{outcome="done"}']) >= 1
    assert float(lines['dandelion_teach_seconds_count{stage="features"}']) >= 16


def test_the_overview_says_what_there_is_to_teach_with(client: httpx.Client, module: tuple[str, ...]) -> None:
    overview = client.get("/teach").json()
    record = Backbone.open(*map(Path, module[1:])).record
    assert overview["backbone"] == {"name": record.name, "version": record.version, "image_size": record.input.width}
    assert [(each["id"], each["photos"]) for each in overview["examples"]] == [("drawn", 48), ("public", 400)]
    assert overview["examples"][1]["size_bytes"] > 1_000_000
    assert overview["limits"] == {"photos": 10_000, "photo_bytes": 20 * 2**20, "least_per_class": 3}


def test_the_drawn_examples_come_with_one_request_and_go_with_one_undo(client: httpx.Client) -> None:
    path = f"/teach/{client.post('/teach', json={'name': 'x'}).json()['id']}"
    begun = client.post(f"{path}/examples", json={"set": "drawn"})
    assert begun.status_code == 202
    assert begun.json()["loading"]["set"] == "drawn"
    wait_until(lambda: client.get(path).json()["loading"]["state"] == "done")
    dataset = client.get(path).json()
    assert {each["label"]: each["photos"] for each in dataset["classes"]} == {"gate open": 24, "gate shut": 24}
    assert dataset["undo"] == "examples"
    assert [each["photos"] for each in client.post(f"{path}/undo").json()["classes"]] == [0, 0]
    unknown = client.post(f"{path}/examples", json={"set": "moon"})
    assert (unknown.status_code, "there are drawn, public" in unknown.json()["detail"]) == (404, True)


@pytest.fixture
def open_host(tmp_path: Path) -> Iterator[httpx.Client]:
    """An appliance that follows no store and names no bundle."""
    key, entry = new_key()
    options = ("--cache", str(tmp_path / "cache"), "--data", str(tmp_path / "data"))
    module = module_with_backbone(tmp_path)
    with (
        appliance(tmp_path, *options, module=module, DANDELION_ADMIN_KEYS=entry) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": key}) as client,
    ):
        yield client


def test_the_taught_model_serves_its_photos_are_sent_and_it_is_rolled_back(
    open_host: httpx.Client, tmp_path: Path
) -> None:
    path = f"/teach/{open_host.post('/teach', json={'name': 'Ma prairie à moi'}).json()['id']}"
    for label in LABELS:
        open_host.put(f"{path}/classes", json={"label": label})
    filled(open_host, path)
    open_host.post(f"{path}/train")
    version = wait_for(open_host, path)["version"]
    served = open_host.post(f"{path}/serve")
    assert served.status_code == 200, served.text
    assert (served.json()["version"], served.json()["where"]) == (version, "cache")
    answer = open_host.post("/predict", content=photo("grass", 901), headers={"content-type": "image/jpeg"}).json()
    assert answer["model"] == {"name": "ma-prairie-a-moi", "version": version}
    assert answer["label"] == "grass"
    dataset = open_host.get(path).json()
    assert (dataset["served"], dataset["serving"]) == (version, True)
    assert version in {each["version"] for each in open_host.get("/models").json()["versions"]}
    sent = tmp_path / "data" / "products" / "ma-prairie-a-moi" / "taught"
    wait_until(lambda: len(list(sent.rglob("*.jpeg")) + list(sent.rglob("*.jpg"))) == 16)
    assert open_host.post("/models/rollback").json()["serving"] != version
    dataset = open_host.get(path).json()
    assert (dataset["served"], dataset["serving"]) == (version, False)  # so that the page offers to serve it again
    assert open_host.post(f"{path}/serve").status_code == 200
    assert open_host.get(path).json()["serving"]


def test_a_killed_appliance_loses_nothing_and_goes_on_by_itself(tmp_path: Path) -> None:
    key, entry = new_key()
    options = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", str(tmp_path / "cache"))
    headers, module = {"x-api-key": key}, module_with_backbone(tmp_path)
    with (
        appliance(tmp_path, *options, module=module, DANDELION_ADMIN_KEYS=entry) as server,
        httpx.Client(base_url=server.url, headers=headers) as client,
    ):
        path = f"/teach/{client.post('/teach', json={'name': 'x'}).json()['id']}"
        for label in LABELS:
            client.put(f"{path}/classes", json={"label": label})
        filled(client, path, each=20)
        client.post(f"{path}/train")
        server.process.kill()
        server.process.wait()
    with (
        appliance(tmp_path, *options, module=module, DANDELION_ADMIN_KEYS=entry) as server,
        httpx.Client(base_url=server.url, headers=headers) as client,
    ):
        wait_until(lambda: client.get(path).json()["waiting"] == 0)
        dataset = client.get(path).json()
        assert [each["photos"] for each in dataset["classes"]] == [20, 20]
        assert dataset["undo"] == "add"
        assert dataset["run"]["state"] in {"failed", "done"}
        client.post(f"{path}/train")
        assert wait_for(client, path)["report"]["photos"] == 40
