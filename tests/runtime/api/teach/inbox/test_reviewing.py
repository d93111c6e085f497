"""What waits is accepted with a label or rejected: for a dataset, and for the next training from the data store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from runtime.names import UNKNOWN
from tests.runtime.api.teach.inbox.conftest import Desk, desk
from tests.runtime.api.teach.inbox.test_keeping import sha256
from tests.support.appliances.corrections import send
from tests.support.photos import photo, violet, write_photos
from training.commands import feedback


def accept(found: Desk, *photos: str, label: str | None, dataset: str | None = None) -> dict[str, Any]:
    answer = found.client.post("/teach/inbox/accept", json={"photos": photos, "label": label, "dataset": dataset})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def records(found: Desk) -> dict[str, dict[str, Any]]:
    """The records of corrections in the data store, by their keys."""
    folder = found.folder / "data"
    return {str(file.relative_to(folder)): json.loads(file.read_text()) for file in folder.rglob("feedback/**/*.json")}


def training(found: Desk, *arguments: str) -> str:
    """What `python -m training feedback` says of the same data store."""
    result = CliRunner().invoke(feedback, [*arguments, "--data", str(found.folder / "data")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_accepted_photos_join_a_class_of_the_dataset_and_the_data_store(kept: Desk) -> None:
    for seed in (1, 2):
        kept.predict(photo("grass", seed))
    ids = [one["id"] for one in kept.waiting(2)]
    dataset = kept.dataset()
    done = accept(kept, *ids, label="grass", dataset=dataset)
    assert [one["outcome"] for one in done["photos"]] == ["added", "added"]
    assert done["state"] == {"enabled": True, "photos": 0, "waiting": 0}
    told = kept.client.get(f"/teach/{dataset}").json()
    assert {each["label"]: each["photos"] for each in told["classes"]} == {"dandelion": 0, "grass": 2, "moss": 0}
    photos = kept.client.get(f"/teach/{dataset}/photos").json()["photos"]
    assert {(one["source"], one["label"]) for one in photos} == {("inbox", "grass")}
    assert {one["id"] for one in photos} == set(ids)
    record = records(kept)[f"feedback/colours/grass/{ids[0]}.json"]
    assert (record["reviewed"], record["label"], record["version"], record["product"]) == (
        "accepted", "grass", "v1", "colours",
    )  # fmt: skip
    assert (kept.folder / f"data/feedback/colours/grass/{ids[0]}.jpeg").read_bytes() == photo("grass", 2)
    undone = kept.client.post(f"/teach/{dataset}/undo").json()  # both at once
    assert sum(each["photos"] for each in undone["classes"]) == 0
    assert [one["id"] for one in kept.page()["photos"]] == ids  # where they came from
    assert records(kept) == {}
    assert not list((kept.folder / "data").rglob("*.jpeg"))
    assert kept.client.get(f"/teach/inbox/{ids[0]}/thumbnail").status_code == 200
    assert accept(kept, *ids, label="dandelion", dataset=dataset)["state"]["waiting"] == 0
    assert {record["label"] for record in records(kept).values()} == {"dandelion"}
    kept.predict(photo("grass", 1))
    assert kept.page()["photos"] == []


def test_photos_of_none_of_the_classes_go_to_the_data_store_alone(kept: Desk) -> None:
    kept.predict(violet())
    (one,) = kept.waiting(1)
    dataset = kept.dataset()
    assert accept(kept, one["id"], label=None, dataset=dataset)["photos"][0]["outcome"] == "added"
    assert [record["label"] for record in records(kept).values()] == [UNKNOWN]
    assert kept.client.get(f"/teach/{dataset}/photos").json()["photos"] == []
    assert kept.written() == []


def test_a_label_that_the_model_lacks_joins_the_dataset_alone(kept: Desk) -> None:
    kept.predict(photo("grass", 1))
    (one,) = kept.waiting(1)
    refused = accept(kept, one["id"], label="moss")["photos"]
    assert refused[0]["outcome"] == "refused"
    assert "'moss' is no label of 'colours', whose next training would not know it" in refused[0]["detail"]
    assert accept(kept, one["id"], label="moss", dataset=kept.dataset())["photos"][0]["outcome"] == "added"
    assert records(kept) == {}


def test_what_was_accepted_is_trained_on_by_the_commands(kept: Desk) -> None:
    kept.predict(photo("grass", 1))
    kept.predict(violet())
    unknown, grass = kept.waiting(2)
    accept(kept, grass["id"], label="grass")
    accept(kept, unknown["id"], label=None)
    raw = write_photos(kept.folder / "raw", 2)
    assert "2 corrections" in training(kept, "list", "--all")
    assert training(kept, "apply", "--raw", str(raw), "--product", "colours").endswith(": 2\n")
    assert (raw / "grass" / f"feedback-{grass['id']}.jpeg").read_bytes() == photo("grass", 1)
    assert (raw / UNKNOWN / f"feedback-{unknown['id']}.jpeg").read_bytes() == violet()


def test_corrections_of_users_are_reviewed_here_and_by_the_commands_alike(tmp_path: Path) -> None:
    with desk(tmp_path, "--data", str(tmp_path / "data")) as found:  # without the inbox, too
        for seed, label in ((1, "grass"), (2, "dandelion"), (3, "grass"), (4, "grass")):
            assert send(found.server, photo("grass", seed), label, predicted="dandelion", version="v1").is_success
        waiting = {one["said"] + sha256_seed(one): one for one in found.waiting(4)}
        assert {(one["kind"], one["label"], one["confidence"]) for one in waiting.values()} == {
            ("correction", "dandelion", None)
        }
        first, second = waiting["grass1"], waiting["dandelion2"]
        thumbnail = found.client.get(f"/teach/inbox/{first['id']}/thumbnail")
        assert thumbnail.content.startswith(b"\xff\xd8")
        assert not (tmp_path / "cache" / "teaching").exists()
        accept(found, first["id"], label="grass")  # as it was said
        accept(found, second["id"], label="grass")  # something else than was said
        training(found, "accept", sha256(photo("grass", 3))[:12])
        assert found.client.post("/teach/inbox/reject", json={"photos": [waiting["grass4"]["id"]]}).json() == {
            "rejected": 1, "state": {"enabled": False, "photos": 0, "waiting": 0},
        }  # fmt: skip
        assert found.page()["photos"] == []
        assert {key.split("/", 2)[2]: record["reviewed"] for key, record in records(found).items()} == {
            f"grass/{sha256(photo('grass', 1))}.json": "accepted",
            f"dandelion/{sha256(photo('grass', 2))}.json": "rejected",
            f"grass/{sha256(photo('grass', 2))}.json": "accepted",
            f"grass/{sha256(photo('grass', 3))}.json": "accepted",
            f"grass/{sha256(photo('grass', 4))}.json": "rejected",
        }


def sha256_seed(one: dict[str, Any]) -> str:
    """Which of the photos a correction is of: its id tells the label, too."""
    known = {
        sha256(f"colours/{one['said']}/{sha256(photo('grass', seed))}".encode()): str(seed) for seed in range(1, 5)
    }
    return known[one["id"]]


def test_a_correction_joins_a_dataset_and_waits_no_more(tmp_path: Path) -> None:
    with desk(tmp_path, "--data", str(tmp_path / "data")) as found:
        send(found.server, photo("grass", 1), "grass")
        (one,) = found.waiting(1)
        dataset = found.dataset()
        accept(found, one["id"], label="moss", dataset=dataset)  # which no training of the product knows
        assert [photo["label"] for photo in found.client.get(f"/teach/{dataset}/photos").json()["photos"]] == ["moss"]
        assert [record["reviewed"] for record in records(found).values()] == ["rejected"]
        assert found.page()["photos"] == []


def test_pages_follow_one_another_through_both_kinds(kept: Desk) -> None:
    for seed in range(3):
        assert send(kept.server, photo("dandelion", seed), "grass").is_success
    for seed in range(4):
        kept.predict(photo("grass", seed))
    everything = [one["id"] for one in kept.waiting(7)]
    seen: list[str] = []
    after: dict[str, str] = {}
    for _ in range(10):
        page = kept.page(limit=2, **after)
        seen += [one["id"] for one in page["photos"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == everything
    assert [one["kind"] for one in kept.page()["photos"]] == ["correction"] * 3 + ["uncertain"] * 4
    assert len(kept.page(kind="correction")["photos"]) == 3


def test_what_is_gone_is_no_error(kept: Desk) -> None:
    kept.predict(photo("grass", 1))
    (one,) = kept.waiting(1)
    gone = "0" * 64
    done = accept(kept, one["id"], gone, label="grass")
    assert (len(done["photos"]), done["gone"]) == (1, 1)
    assert kept.client.post("/teach/inbox/reject", json={"photos": [gone]}).json()["rejected"] == 0
    assert kept.client.get(f"/teach/inbox/{gone}/thumbnail").status_code == 404


def test_a_photo_that_is_in_another_class_goes_on_waiting_and_says_so(kept: Desk) -> None:
    kept.predict(photo("grass", 1))
    (one,) = kept.waiting(1)
    dataset = kept.dataset()
    body = [("files", ("a.jpg", photo("grass", 1)))]
    kept.client.post(f"/teach/{dataset}/photos", params={"label": "moss"}, files=body)
    (refused,) = accept(kept, one["id"], label="grass", dataset=dataset)["photos"]
    assert (refused["outcome"], refused["detail"]) == ("refused", "the same photo is in the class 'moss'")
    assert len(kept.page()["photos"]) == 1


def test_every_refusal_says_what_to_do(kept: Desk) -> None:
    def refused(status: int, **asked: Any) -> str:
        answer = kept.client.post("/teach/inbox/accept", json={"photos": [], **asked})
        assert answer.status_code == status, answer.text
        return str(answer.json()["detail"])

    dataset = kept.dataset()
    assert "there is no dataset 'x'" in refused(404, label="grass", dataset="x")
    assert "there is no class 'fern'; there are dandelion, grass, moss" in refused(404, label="fern", dataset=dataset)
    assert "send null as their label" in refused(400, label=UNKNOWN)
    assert kept.client.get("/teach/inbox", params={"after": "nonsense"}).status_code == 404
    assert kept.client.get("/teach/inbox", params={"kind": "nonsense"}).status_code == 400
    assert kept.client.get("/teach/inbox", params={"limit": "0"}).status_code == 400
    assert kept.client.post("/teach/inbox/reject", json={"photos": ["x" * 5 * 2**20]}).status_code == 413


def test_without_a_data_store_photos_join_datasets_alone(tmp_path: Path) -> None:
    with desk(tmp_path, "--inbox-photos", "5") as found:
        found.predict(photo("grass", 1))
        (one,) = found.waiting(1)
        assert not found.page()["stores"]
        for label, expected in (("grass", "name the dataset that the photos shall join"), (None, "DANDELION_DATA")):
            answer = found.client.post("/teach/inbox/accept", json={"photos": [one["id"]], "label": label})
            assert (answer.status_code, expected in answer.json()["detail"]) == (409, True), answer.text
        assert accept(found, one["id"], label="grass", dataset=found.dataset())["photos"][0]["outcome"] == "added"


def test_an_inbox_that_is_off_says_which_setting_turns_it_on(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        for method, path, body in (
            ("GET", "", None),
            ("POST", "/accept", {"photos": [], "label": "grass"}),
            ("POST", "/reject", {"photos": []}),
            ("GET", f"/{'0' * 64}/thumbnail", None),
        ):
            answer = found.client.request(method, f"/teach/inbox{path}", json=body)
            assert (answer.status_code, "DANDELION_INBOX_PHOTOS" in answer.json()["detail"]) == (409, True), path
        assert found.client.delete("/teach/inbox").json() == {
            "waiting": 0, "joined": 0, "corrections": 0, "learned": [],
        }  # fmt: skip


def test_only_the_administrator_sees_the_inbox(kept: Desk) -> None:
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("POST", "/accept"), ("POST", "/reject"), ("GET", f"/{'0' * 64}/thumbnail"),
    ):  # fmt: skip
        for headers in ({}, {"x-api-key": "wrong"}):
            answer = httpx.request(method, f"{kept.server.url}/teach/inbox{path}", headers=headers)
            assert answer.status_code in {401, 403}, (method, path)


def test_the_kept_photos_are_listed_and_deleted_while_the_data_store_is_away(tmp_path: Path) -> None:
    away = {"MINIO_ENDPOINT": "127.0.0.1:9", "MINIO_ACCESS_KEY": "x", "MINIO_SECRET_KEY": "x"}
    with desk(tmp_path, "--inbox-photos", "5", "--data", "s3://dandelion-data", **away) as found:
        found.predict(photo("grass", 1))
        (one,) = found.waiting(1)
        assert "the corrections cannot be read" in found.page()["trouble"]
        refused = found.client.post("/teach/inbox/accept", json={"photos": [one["id"]], "label": "grass"})
        assert (refused.status_code, "MINIO_ENDPOINT" in refused.json()["detail"]) == (503, True), refused.text
        assert len(found.page()["photos"]) == 1  # nothing was lost
        assert found.client.delete("/teach/inbox").status_code == 503
        assert (found.page()["photos"], found.written()) == ([], [])


def test_a_record_that_cannot_be_read_is_named_and_hides_no_other(kept: Desk) -> None:
    assert send(kept.server, photo("grass", 1), "grass").is_success
    folder = kept.folder / "data" / "feedback" / "colours" / "grass"
    (folder / f"{'1' * 64}.jpeg").write_bytes(photo("grass", 2))
    (folder / f"{'1' * 64}.json").write_text("{")
    page = kept.page()
    assert len(page["photos"]) == 1
    assert f"{'1' * 64}.json" in page["trouble"]


def test_a_photo_that_is_not_the_corrected_one_is_not_accepted(kept: Desk) -> None:
    assert send(kept.server, photo("grass", 1), "grass").is_success
    (one,) = kept.waiting(1)
    file = next((kept.folder / "data" / "feedback" / "colours" / "grass").glob("*.jpeg"))
    file.write_bytes(photo("grass", 9))
    (refused,) = accept(kept, one["id"], label="grass")["photos"]
    assert refused["outcome"] == "refused"
    assert [record.get("reviewed") for record in records(kept).values()] == [None]
