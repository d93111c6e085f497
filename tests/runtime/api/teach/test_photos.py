"""Photos over HTTP: sent, listed, labelled, removed, and every step undone."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from runtime.api.security.keys import new_key
from tests.runtime.api.teach.test_datasets import counts, send
from tests.support.appliances.servers import appliance
from tests.support.models.backbones import module_with_backbone
from tests.support.models.bundles import write_bundle
from tests.support.photos import draw_photo, encode, photo


def listed(client: httpx.Client, path: str, **options: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{path}/photos", params=options)
    assert answer.status_code == 200, answer.text
    photos: list[dict[str, Any]] = answer.json()["photos"]
    return photos


def test_the_photos_of_a_form_and_of_a_body_are_added(client: httpx.Client, dataset: str) -> None:
    form = send(client, dataset, 1, 2)
    assert form.status_code == 200
    assert [(each["name"], each["outcome"]) for each in form.json()["photos"]] == [
        ("1.jpg", "added"),
        ("2.jpg", "added"),
    ]
    assert counts(form.json()["dataset"]) == {"dandelion": 0, "grass": 2}
    data = photo("dandelion", 3)
    options = {"source": "camera", "name": "three"}
    body = client.post(f"{dataset}/photos", params=options, content=data, headers={"content-type": "image/jpeg"}).json()
    sha256 = hashlib.sha256(data).hexdigest()
    assert body["photos"] == [{"name": "three", "id": sha256, "outcome": "added", "detail": None}]
    assert body["dataset"]["unlabelled"] == 1
    last = listed(client, dataset)[-1]
    assert {key: last[key] for key in ("id", "name", "label", "source")} == {
        "id": sha256,
        "name": "three",
        "label": None,
        "source": "camera",
    }


def test_what_cannot_be_read_is_named_and_left_out(client: httpx.Client, dataset: str) -> None:
    files = [
        ("files", ("good.jpg", photo("grass", 1))),
        ("files", ("text.jpg", b"no photo")),
        ("files", ("half.png", encode(draw_photo("grass", 2), "PNG")[:-200])),
        ("files", ("empty.jpg", b"")),
    ]
    answer = client.post(f"{dataset}/photos", params={"label": "grass"}, files=files).json()
    assert [each["outcome"] for each in answer["photos"]] == ["added", "refused", "refused", "refused"]
    assert [each["name"] for each in answer["photos"]] == ["good.jpg", "text.jpg", "half.png", "empty.jpg"]
    details = [each["detail"] for each in answer["photos"][1:]]
    assert "not a photo in an accepted format" in details[0]
    assert "the photo is broken" in details[1]
    assert "the file is empty" in details[2]
    assert [each.get("code") for each in answer["photos"]] == [None, "not_photo", "broken", "empty"]
    assert answer["photos"][2]["values"]["why"]
    assert counts(answer["dataset"])["grass"] == 1


def test_the_same_photo_is_not_there_twice(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, 1)
    data = photo("grass", 1)
    again = client.post(f"{dataset}/photos", params={"label": "dandelion"}, files=[("files", ("again.jpg", data))])
    (told,) = again.json()["photos"]
    assert (told["outcome"], told["detail"]) == ("there_already", "the same photo is in the class 'grass'")
    assert counts(again.json()["dataset"]) == {"dandelion": 0, "grass": 1}


def test_a_photo_without_a_label_gets_that_of_its_copy(client: httpx.Client, dataset: str) -> None:
    client.post(f"{dataset}/photos", files=[("files", ("1.jpg", photo("grass", 1)))])
    answer = send(client, dataset, 1).json()
    assert answer["photos"][0]["outcome"] == "there_already"
    assert counts(answer["dataset"]) == {"dandelion": 0, "grass": 1}


def test_photos_are_labelled_and_removed_in_bulk_and_each_is_undone(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, *range(6))
    ids = [each["id"] for each in listed(client, dataset)]
    assert counts(client.post(f"{dataset}/label", json={"photos": ids[:3], "label": "dandelion"}).json()) == {
        "dandelion": 3,
        "grass": 3,
    }
    assert client.post(f"{dataset}/label", json={"photos": ids[:1], "label": None}).json()["unlabelled"] == 1
    removed = client.post(f"{dataset}/remove", json={"photos": ids[2:5]}).json()
    assert (removed["removed"], counts(removed)) == (3, {"dandelion": 1, "grass": 1})
    assert [each["id"] for each in listed(client, dataset, removed=True)] == ids[2:5]
    for expected in ({"dandelion": 2, "grass": 3}, {"dandelion": 3, "grass": 3}, {"dandelion": 0, "grass": 6}):
        assert counts(client.post(f"{dataset}/undo").json()) == expected
    assert [each["id"] for each in listed(client, dataset)] == ids


def test_a_removed_photo_is_put_back_by_a_label_or_when_it_is_sent_again(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, 1, 2)
    ids = [each["id"] for each in listed(client, dataset)]
    client.post(f"{dataset}/remove", json={"photos": ids})
    assert counts(client.post(f"{dataset}/label", json={"photos": ids[:1], "label": "dandelion"}).json()) == {
        "dandelion": 1,
        "grass": 0,
    }
    assert send(client, dataset, 2).json()["photos"][0]["outcome"] == "added"
    assert counts(client.get(dataset).json()) == {"dandelion": 1, "grass": 1}


def test_photos_are_listed_page_by_page_and_by_class(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, *range(5))
    client.post(f"{dataset}/photos", files=[("files", ("u.jpg", photo("grass", 9)))])
    first = client.get(f"{dataset}/photos", params={"limit": 4}).json()
    rest = client.get(f"{dataset}/photos", params={"limit": 4, "after": first["next"]}).json()
    assert [each["name"] for each in first["photos"] + rest["photos"]] == [f"{n}.jpg" for n in range(5)] + ["u.jpg"]
    assert rest["next"] is None
    assert len(listed(client, dataset, label="grass")) == 5
    assert [each["name"] for each in listed(client, dataset, unlabelled=True)] == ["u.jpg"]
    assert listed(client, dataset, label="dandelion") == listed(client, dataset, removed=True) == []
    assert client.get(f"{dataset}/photos", params={"after": "x"}).status_code == 404
    assert client.get(f"{dataset}/photos", params={"limit": 0}).status_code == 400


def test_a_thumbnail_is_small_upright_and_private(client: httpx.Client, dataset: str) -> None:
    image = draw_photo("grass", 1, (600, 300))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    data = encode(image, exif=exif)
    sent = client.post(f"{dataset}/photos", content=data, headers={"content-type": "image/jpeg"}).json()
    answer = client.get(f"{dataset}/photos/{sent['photos'][0]['id']}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"].startswith("private")
    assert Image.open(io.BytesIO(answer.content)).size == (120, 240)
    assert client.get(f"{dataset}/photos/{'0' * 64}/thumbnail").status_code == 404
    assert client.get(f"{dataset}/photos/..%2Fx/thumbnail").status_code == 404


def test_photos_that_are_not_there_are_refused_and_none_is_changed(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, 1)
    ids = [listed(client, dataset)[0]["id"], "0" * 64]
    for path, body in (("label", {"photos": ids, "label": "dandelion"}), ("remove", {"photos": ids})):
        answer = client.post(f"{dataset}/{path}", json=body)
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith("1 of the 2 photos are not in this dataset")
    assert counts(client.get(dataset).json()) == {"dandelion": 0, "grass": 1}


def test_a_body_that_is_no_photo_by_its_kind_is_refused(client: httpx.Client, dataset: str) -> None:
    path = f"{dataset}/photos"
    assert client.post(path, content=b"{}", headers={"content-type": "application/json"}).status_code == 415
    assert client.post(path, data={"file": "text"}, files={}).status_code == 415
    assert client.post(path, files=[("other", ("a.jpg", photo()))]).status_code == 400
    assert client.post(path, params={"source": "moon"}, files=[("files", ("a.jpg", photo()))]).status_code == 400


def test_the_bounds_are_named_and_what_there_is_room_for_is_kept(tmp_path: Path) -> None:
    key, entry = new_key()
    bundle = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", str(tmp_path / "cache"))
    settings = {"DANDELION_ADMIN_KEYS": entry, "DANDELION_TEACH_PHOTOS": "10", "DANDELION_TEACH_MB": "1"}
    with (
        appliance(tmp_path, *bundle, module=module_with_backbone(tmp_path), **settings) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": key}) as client,
    ):
        path = f"/teach/{client.post('/teach', json={'name': 'x'}).json()['id']}"
        client.put(f"{path}/classes", json={"label": "grass"})
        some = send(client, path, *range(12))
        outcomes = [each["outcome"] for each in some.json()["photos"]]
        assert (some.status_code, outcomes.count("added"), outcomes.count("refused")) == (200, 10, 2)
        full = send(client, path, 20)
        assert (full.status_code, "DANDELION_TEACH_PHOTOS" in full.json()["detail"]) == (507, True)
        other = f"/teach/{client.post('/teach', json={'name': 'y'}).json()['id']}"
        large = encode(draw_photo("grass", 1, (1500, 1500)), "PNG")
        headers = {"content-type": "image/png"}
        answers = [client.post(f"{other}/photos", content=large[: len(large)], headers=headers)]
        assert (answers[0].status_code, "DANDELION_TEACH_MB" in answers[0].json()["detail"]) == (507, True), len(large)


def test_a_newer_database_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "teaching"
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "teaching.db") as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("CREATE TABLE future (x)")
    connection.close()
    before = (folder / "teaching.db").read_bytes()
    key, entry = new_key()
    bundle = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", str(tmp_path / "cache"))
    with appliance(tmp_path, *bundle, DANDELION_ADMIN_KEYS=entry) as server:
        answer = httpx.get(f"{server.url}/teach", headers={"x-api-key": key})
        assert answer.status_code == 503
        assert "has schema version 99" in answer.json()["detail"]
        health = httpx.get(f"{server.url}/health").json()
        assert any("has schema version 99" in reason for reason in health["reasons"])
        assert httpx.post(f"{server.url}/predict", content=photo(), headers={"content-type": "image/jpeg"}).is_success
    assert (folder / "teaching.db").read_bytes() == before


def test_undo_takes_back_what_one_request_or_one_batch_has_added(client: httpx.Client, dataset: str) -> None:
    send(client, dataset, 1, 2)
    for seed in (3, 4, 5):
        options = {"label": "grass", "batch": "burst", "source": "camera"}
        client.post(f"{dataset}/photos", params=options, files=[("files", ("c.jpg", photo("grass", seed)))])
    assert counts(client.post(f"{dataset}/undo").json())["grass"] == 2
    assert counts(client.post(f"{dataset}/undo").json())["grass"] == 0
    assert client.get(f"{dataset}/photos").json()["photos"] == []
