"""All of the inbox is deleted at once, and the versions that learned from it are told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.runtime.api.teach.inbox.conftest import Desk, desk
from tests.runtime.api.teach.inbox.test_reviewing import accept, records
from tests.support.appliances.corrections import send
from tests.support.photos import photo, violet
from tests.support.waiting import wait_until

EACH = 6


def taught(found: Desk, dataset: str) -> dict[str, Any]:
    """The dataset after a teaching."""
    assert found.client.post(f"/teach/{dataset}/train").status_code == 202
    wait_until(lambda: found.client.get(f"/teach/{dataset}").json()["run"]["state"] in {"done", "failed"})
    told: dict[str, Any] = found.client.get(f"/teach/{dataset}").json()
    assert told["run"]["state"] == "done", told["run"]
    return told


def filled(found: Desk) -> str:
    """A dataset with photos of two classes, two of which came from the inbox."""
    dataset = found.client.post("/teach", json={"name": "meadow"}).json()["id"]
    for label in ("dandelion", "grass"):
        found.client.put(f"/teach/{dataset}/classes", json={"label": label})
        files = [("files", (f"{seed}.jpg", photo(label, 100 + seed))) for seed in range(EACH)]
        sent = found.client.post(f"/teach/{dataset}/photos", params={"label": label}, files=files)
        assert sent.status_code == 200, sent.text
    for seed in (1, 2):
        found.predict(photo("grass", seed))
    accept(found, *(one["id"] for one in found.waiting(2)), label="grass", dataset=dataset)
    return str(dataset)


def test_all_of_it_is_deleted_wherever_it_has_gone(kept: Desk) -> None:
    dataset = filled(kept)
    kept.predict(violet())
    (unknown,) = kept.waiting(1)
    accept(kept, unknown["id"], label=None)
    kept.predict(photo("grass", 3))
    assert send(kept.server, photo("grass", 4), "grass").is_success
    kept.waiting(2)
    assert kept.page()["joined"] == 2
    gone = kept.client.delete("/teach/inbox").json()
    assert gone == {"waiting": 1, "joined": 2, "corrections": 4, "learned": []}
    assert kept.page()["photos"] == []
    assert records(kept) == {}
    assert not list((kept.folder / "data").rglob("*.jpeg"))
    left = [file.read_bytes() for file in kept.written()]
    assert not {photo("grass", seed) for seed in (1, 2, 3, 4)} & set(left)
    told = kept.client.get(f"/teach/{dataset}").json()
    assert {each["label"]: each["photos"] for each in told["classes"]} == {"dandelion": EACH, "grass": EACH}
    assert kept.metric("dandelion_inbox_waiting_photos") == 0
    assert kept.metric("dandelion_inbox_oldest_age_seconds") == 0
    kept.predict(photo("grass", 3))  # who deletes all forgets what was seen, too
    kept.waiting(1)


def test_the_versions_that_learned_from_it_are_told_even_when_their_dataset_is_gone(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with desk(tmp_path, "--inbox-photos", "10", "--abstain", "1", "--data", data, bundle=False) as found:
        dataset = filled(found)
        first = taught(found, dataset)["version"]
        expected = {"version": first, "dataset": "meadow", "photos": 2, "served": False}
        assert found.page()["learned"] == [expected]
        served = found.client.post(f"/teach/{dataset}/serve")
        assert served.status_code == 200, served.text
        assert found.page()["learned"] == [expected | {"served": True}]
        sent = tmp_path / "data" / "products" / "meadow" / "taught"
        wait_until(lambda: len(list(sent.rglob("*.jpeg"))) == 2 * EACH + 2, seconds=60)
        gone = found.client.delete("/teach/inbox").json()
        assert (gone["joined"], gone["learned"]) == (2, [expected | {"served": True}])
        told = found.client.get(f"/teach/{dataset}").json()
        assert told["outdated"]
        wait_until(lambda: len(list(sent.rglob("*.jpeg"))) == 2 * EACH, seconds=60)
        time.sleep(1.1)  # versions are named by the second
        assert taught(found, dataset)["version"] != first
        assert found.page()["learned"] == [expected | {"served": True}]  # the second one learned from none of them
        assert found.client.delete(f"/teach/{dataset}").status_code == 204
    with desk(tmp_path, "--inbox-photos", "10", bundle=False) as again:
        assert again.page()["learned"] == [expected | {"served": True}]


def test_a_model_that_was_thrown_away_is_not_told(tmp_path: Path) -> None:
    with desk(tmp_path, "--inbox-photos", "10") as found:
        dataset = filled(found)
        taught(found, dataset)
        assert len(found.page()["learned"]) == 1
        assert found.client.delete(f"/teach/{dataset}/model").status_code == 200
        assert found.page()["learned"] == []
