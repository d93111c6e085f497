"""Datasets and classes over HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from runtime.api.security.keys import new_key
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo


def counts(dataset: dict[str, list[dict[str, int]]]) -> dict[str, int]:
    return {str(each["label"]): each["photos"] for each in dataset["classes"]}


def send(client: httpx.Client, path: str, *seeds: int, label: str = "grass") -> httpx.Response:
    files = [("files", (f"{seed}.jpg", photo(label, seed), "image/jpeg")) for seed in seeds]
    return client.post(f"{path}/photos", params={"label": label}, files=files)


def test_a_dataset_is_made_renamed_listed_and_deleted(client: httpx.Client) -> None:
    made = client.post("/teach", json={"name": "  ma prairie "})
    assert made.status_code == 201
    path, dataset = f"/teach/{made.json()['id']}", made.json()
    assert dataset["name"] == "ma prairie"
    assert dataset["classes"] == []
    assert [dataset[key] for key in ("run", "report", "undo", "version", "served")] == [None] * 5
    assert client.patch(path, json={"name": "Wiese"}).json()["name"] == "Wiese"
    listed = {each["id"]: each["name"] for each in client.get("/teach").json()["datasets"]}
    assert listed[dataset["id"]] == "Wiese"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == client.delete(path).status_code == 404
    assert dataset["id"] not in {each["id"] for each in client.get("/teach").json()["datasets"]}


def test_a_class_is_made_renamed_and_deleted_and_each_is_undone(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, 1, 2)
    assert counts(client.get(dataset).json()) == {"dandelion": 0, "grass": 2}
    renamed = client.patch(f"{dataset}/classes", json={"label": "grass", "to": "herbe à chat"})
    assert counts(renamed.json()) == {"dandelion": 0, "herbe à chat": 2}
    deleted = client.request("DELETE", f"{dataset}/classes", json={"label": "herbe à chat"}).json()
    assert counts(deleted) == {"dandelion": 0}
    assert (deleted["unlabelled"], deleted["undo"]) == (2, "delete_class")
    for undone, expected in (
        ("rename", {"dandelion": 0, "herbe à chat": 2}),
        ("add", {"dandelion": 0, "grass": 2}),
        ("class", {"dandelion": 0, "grass": 0}),
    ):
        answer = client.post(f"{dataset}/undo").json()
        assert (answer["undo"], counts(answer)) == (undone, expected)


def test_undo_ends_with_a_refusal(client: httpx.Client) -> None:
    path = f"/teach/{client.post('/teach', json={'name': 'x'}).json()['id']}"
    answer = client.post(f"{path}/undo")
    assert (answer.status_code, answer.json()["detail"]) == (409, "there is nothing to undo")


@pytest.mark.parametrize(
    ("label", "status", "says"),
    [
        ("grass", 409, "there is a class 'grass' already"),
        ("Grass", 409, "differ in nothing but case"),
        ("a/b", 400, "is no label"),
        (".hidden", 400, "is no label"),
        ("", 400, "is no label"),
        ("x" * 101, 400, "is no label"),
        ("(Unknown)", 400, "is reserved"),
    ],
)
def test_a_label_that_cannot_be_one_is_refused(
    client: httpx.Client, dataset: str, label: str, status: int, says: str
) -> None:
    answer = client.put(f"{dataset}/classes", json={"label": label})
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text
    renamed = client.patch(f"{dataset}/classes", json={"label": "dandelion", "to": label})
    assert (renamed.status_code, says in renamed.json()["detail"]) == (status, True), renamed.text
    assert counts(client.get(dataset).json()) == {"dandelion": 0, "grass": 0}


def test_a_class_may_change_the_case_of_its_own_label(client: httpx.Client, dataset: str) -> None:
    renamed = client.patch(f"{dataset}/classes", json={"label": "grass", "to": "Grass"})
    assert counts(renamed.json()) == {"dandelion": 0, "Grass": 0}


def test_a_class_that_is_not_there_is_named(client: httpx.Client, dataset: str) -> None:
    for answer in (
        client.patch(f"{dataset}/classes", json={"label": "moss", "to": "x"}),
        client.request("DELETE", f"{dataset}/classes", json={"label": "moss"}),
        client.post(f"{dataset}/photos?label=moss", content=photo(), headers={"content-type": "image/jpeg"}),
        client.get(f"{dataset}/photos?label=moss"),
        client.post(f"{dataset}/label", json={"photos": [], "label": "moss"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["detail"] == "there is no class 'moss'; there are dandelion, grass; make it first"


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_one_is_refused(client: httpx.Client, dataset: str, name: str) -> None:
    for answer in (client.post("/teach", json={"name": name}), client.patch(dataset, json={"name": name})):
        assert answer.status_code == 400
        assert "is no name" in answer.json()["detail"]


def test_json_that_is_none_and_too_much_of_it_are_refused(client: httpx.Client, dataset: str) -> None:
    assert client.post("/teach", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert client.post("/teach", json={"label": "x"}).status_code == 400
    large = client.put(f"{dataset}/classes", json={"label": "x" * 20_000})
    assert (large.status_code, "16 KiB" in large.json()["detail"]) == (413, True)


def test_a_dataset_that_is_not_there_is_named_on_every_route(client: httpx.Client) -> None:
    path = "/teach/0123456789abcdef"
    for method, rest, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("PUT", "/classes", {"label": "x"}),
        ("PATCH", "/classes", {"label": "x", "to": "y"}),
        ("DELETE", "/classes", {"label": "x"}),
        ("GET", "/photos", None),
        ("GET", f"/photos/{'0' * 64}/thumbnail", None),
        ("POST", "/label", {"photos": [], "label": None}),
        ("POST", "/remove", {"photos": []}),
        ("POST", "/undo", None),
    ):
        answer = client.request(method, path + rest, json=body)
        assert answer.status_code == 404, (method, rest, answer.text)
        assert "there is no dataset '0123456789abcdef'" in answer.json()["detail"]


def test_only_an_administrator_may_teach_and_nothing_is_written_before(tmp_path: Path) -> None:
    key, entry = new_key()
    admin, admin_entry = new_key()
    bundle = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", str(tmp_path / "cache"))
    keys = {"DANDELION_API_KEYS": entry, "DANDELION_ADMIN_KEYS": admin_entry}
    with appliance(tmp_path, *bundle, **keys) as server:
        assert httpx.get(f"{server.url}/teach").status_code == 401
        assert httpx.get(f"{server.url}/teach", headers={"x-api-key": key}).status_code == 401
        overview = httpx.get(f"{server.url}/teach", headers={"x-api-key": admin})
        assert (overview.status_code, overview.json()["datasets"]) == (200, [])
        assert httpx.get(f"{server.url}/teach/x", headers={"x-api-key": admin}).status_code == 404
        assert not (tmp_path / "cache" / "teaching").exists()


def test_another_site_may_not_teach_unless_it_is_named(client: httpx.Client) -> None:
    other = {"origin": "https://other.example", "sec-fetch-site": "cross-site"}
    assert client.post("/teach", json={"name": "x"}, headers=other).status_code == 403


def test_on_a_read_only_disk_it_serves_and_says_why_it_cannot_be_taught(tmp_path: Path) -> None:
    key, entry = new_key()
    bundle = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", "/proc/cache")
    with appliance(tmp_path, *bundle, DANDELION_ADMIN_KEYS=entry) as server:
        assert httpx.get(f"{server.url}/teach", headers={"x-api-key": key}).status_code == 200
        refused = httpx.post(f"{server.url}/teach", json={"name": "x"}, headers={"x-api-key": key})
        assert (refused.status_code, "make it a folder that can be written" in refused.json()["detail"]) == (503, True)
        assert httpx.post(f"{server.url}/predict", content=photo(), headers={"content-type": "image/jpeg"}).is_success
