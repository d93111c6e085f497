"""Photos of doubtful answers are kept, with consent alone, once each, within their bounds."""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from runtime.api.teaching.inbox import writer
from tests.runtime.api.teach.inbox.conftest import Desk, desk
from tests.support.photos import photo, violet
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[5]
DROPPED = "dandelion_inbox_dropped_total"


def every_byte_below(folder: Path) -> set[bytes]:
    return {file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_without_consent_not_one_byte_of_a_photo_is_written(tmp_path: Path) -> None:
    sent = [photo("grass", seed) for seed in range(4)] + [violet()]
    with desk(tmp_path, "--data", str(tmp_path / "data")) as off:
        for data in sent:
            answer = off.predict(data)
            assert answer["uncertain"] or answer["unknown"]
        many = [("files", ("a.jpg", data, "image/jpeg")) for data in sent]
        assert httpx.post(f"{off.server.url}/predict/batch", files=many).status_code == 200
        assert off.client.get("/teach").json()["inbox"] == {"enabled": False, "photos": 0, "waiting": 0}
        time.sleep(0.5)  # what is written in the background would have been by now
        assert not (tmp_path / "cache" / "teaching").exists()
        assert not any(data[100:200] in found for found in every_byte_below(tmp_path / "cache") for data in sent)
        assert not (tmp_path / "data").exists() or not every_byte_below(tmp_path / "data")


def test_the_photo_of_a_doubtful_answer_is_kept_and_told_with_the_answer(kept: Desk) -> None:
    uncertain, unknown = kept.predict(photo("grass", 1)), kept.predict(violet())
    newest, oldest = kept.waiting(2)
    assert (oldest["kind"], newest["kind"]) == ("uncertain", "unknown")
    assert (oldest["label"], newest["label"]) == (uncertain["label"], None)
    assert (oldest["confidence"], newest["confidence"]) == (uncertain["confidence"], unknown["confidence"])
    assert {one["product"] for one in (oldest, newest)} == {"colours"}
    assert {one["version"] for one in (oldest, newest)} == {"v1"}
    assert abs(oldest["received"] - time.time()) < 60
    assert [file.read_bytes() for file in kept.written()] == sorted([photo("grass", 1), violet()], key=sha256)
    thumbnail = kept.client.get(f"/teach/inbox/{oldest['id']}/thumbnail")
    assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/jpeg")
    assert thumbnail.content.startswith(b"\xff\xd8")
    assert [one["kind"] for one in kept.page(kind="unknown")["photos"]] == ["unknown"]
    assert kept.client.get("/teach").json()["inbox"] == {"enabled": True, "photos": 2, "waiting": 2}
    assert kept.metric('dandelion_inbox_kept_total{answer="unknown"}') == 1
    assert kept.metric("dandelion_inbox_waiting_photos") == 2
    assert kept.metric("dandelion_inbox_waiting_bytes") == len(photo("grass", 1)) + len(violet())
    age = kept.metric("dandelion_inbox_oldest_age_seconds")
    assert 0 < age < 60
    assert kept.metric("dandelion_inbox_oldest_age_seconds") > age, "it goes on while nothing happens"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_photos_of_a_batch_of_a_form_and_of_the_inference_protocol_are_kept(kept: Desk) -> None:
    url = kept.server.url
    many = [("files", (f"{n}.jpg", data)) for n, data in enumerate((photo("grass", 2), b"no photo", photo("grass", 3)))]
    assert httpx.post(f"{url}/predict/batch", files=many).status_code == 200
    kept.waiting(2)
    assert httpx.post(f"{url}/predict", files={"file": ("a.jpg", photo("grass", 4))}).status_code == 200
    kept.waiting(3)
    assert httpx.post(f"{url}/explain", content=photo("grass", 5), headers=JPEG).status_code == 200
    kept.waiting(4)
    data = [base64.b64encode(photo("grass", seed)).decode() for seed in (6, 7)]
    encoded = {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [2], "data": data}]}
    assert httpx.post(f"{url}/v2/models/colours/infer", json=encoded).status_code == 200
    kept.waiting(6)


JPEG = {"content-type": "image/jpeg"}


def test_the_same_photo_is_kept_once_and_not_again_when_it_was_looked_at(kept: Desk) -> None:
    for _ in range(3):
        kept.predict(photo("grass", 6))
    (one,) = kept.waiting(1)
    wait_until(lambda: kept.metric(f'{DROPPED}{{reason="there_already"}}') == 2, what="two are there already")
    assert kept.client.post("/teach/inbox/reject", json={"photos": [one["id"]]}).json()["rejected"] == 1
    assert kept.written() == []
    kept.predict(photo("grass", 6))
    wait_until(lambda: kept.metric(f'{DROPPED}{{reason="there_already"}}') == 3, what="the third is known")
    assert kept.page()["photos"] == []


def test_measurements_are_not_kept(kept: Desk) -> None:
    assert kept.predict(photo("grass", 7), **{"x-traffic": "measurement"})["uncertain"]
    kept.predict(photo("grass", 8))
    (one,) = kept.waiting(1)
    assert one["id"] == sha256(photo("grass", 8))


def test_the_oldest_go_first_when_there_are_too_many(tmp_path: Path) -> None:
    with desk(tmp_path, "--inbox-photos", "3") as small:
        for seed in range(5):
            small.predict(photo("grass", seed))
            wait_until(lambda seed=seed: small.metric("dandelion_inbox_waiting_photos") == min(3, seed + 1))
        wait_until(lambda: small.metric(f'{DROPPED}{{reason="oldest"}}') == 2, what="two are dropped")
        assert [one["id"] for one in small.waiting(3)] == [sha256(photo("grass", seed)) for seed in (4, 3, 2)]
        assert len(small.written()) == 3


def test_the_oldest_go_first_when_they_are_too_large_and_one_that_alone_is_never_comes(tmp_path: Path) -> None:
    large = photo("grass", 1) + bytes(700_000)
    with desk(tmp_path, "--inbox-photos", "10", "--inbox-mb", "1") as small:
        small.predict(large)
        small.waiting(1)
        small.predict(photo("grass", 2) + bytes(700_000))
        wait_until(lambda: small.metric(f'{DROPPED}{{reason="oldest"}}') == 1, what="the first is dropped")
        assert small.metric("dandelion_inbox_waiting_bytes") < 2**20
        small.predict(photo("grass", 3) + bytes(2**20))
        assert small.metric(f'{DROPPED}{{reason="too_large"}}') == 1
        assert len(small.page()["photos"]) == 1


def test_what_is_too_old_is_deleted_and_so_it_is_when_the_operator_has_turned_the_inbox_off(tmp_path: Path) -> None:
    with desk(tmp_path, "--inbox-photos", "10") as on:
        on.predict(photo("grass", 1))
        on.waiting(1)
    with desk(tmp_path) as off:
        (one,) = off.page()["photos"]  # to be labelled or deleted
        off.predict(photo("grass", 2))
        assert off.page()["state"] == {"enabled": False, "photos": 1, "waiting": 1}
        assert off.client.post("/teach/inbox/reject", json={"photos": [one["id"]]}).status_code == 200
        assert off.client.get("/teach/inbox").status_code == 409
    with desk(tmp_path, "--inbox-photos", "10") as on:
        on.predict(photo("grass", 3))
        on.waiting(1)
    aged(tmp_path, days=31)
    with desk(tmp_path) as off:
        wait_until(lambda: off.metric(f'{DROPPED}{{reason="expired"}}') == 1, what="it is deleted")
        assert off.written() == []


def aged(folder: Path, days: float) -> None:
    connection = sqlite3.connect(folder / "cache" / "teaching" / "teaching.db")
    with connection:
        connection.execute("UPDATE inbox SET received = received - ?", [days * 86_400])
    connection.close()


def test_a_photo_that_a_killed_process_left_without_a_row_is_removed(tmp_path: Path) -> None:
    with desk(tmp_path, "--inbox-photos", "10") as on:
        on.predict(photo("grass", 1))
        on.waiting(1)
    left = tmp_path / "cache" / "teaching" / "photos" / "inbox" / sha256(b"x")
    left.write_bytes(b"x")
    os.utime(left, (time.time() - 3600,) * 2)
    with desk(tmp_path, "--inbox-photos", "10") as on:
        on.waiting(1)
        assert not left.exists()


def test_answers_do_not_wait_for_the_disk_and_what_it_cannot_keep_up_with_is_dropped(tmp_path: Path) -> None:
    photos = [photo("grass", seed) for seed in range(writer.QUEUED_PHOTOS + 40)]
    with desk(tmp_path, "--inbox-photos", "1000") as on:
        connection = None
        on.predict(photo("dandelion", 0))
        on.waiting(1)
        try:
            connection = sqlite3.connect(tmp_path / "cache" / "teaching" / "teaching.db", isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")  # the writer waits for another process
            began = time.monotonic()
            for data in photos:
                on.predict(data)
            assert time.monotonic() - began < 8  # the writer waits ten seconds for the database
        finally:
            if connection:
                connection.rollback()
                connection.close()
        wait_until(lambda: on.metric(f'{DROPPED}{{reason="busy"}}') > 0, what="some are dropped")
        kept = int(on.metric('dandelion_inbox_kept_total{answer="uncertain"}'))
        assert kept <= writer.QUEUED_PHOTOS + 2


_FULL_DISK = """
import sys, time
from pathlib import Path
from runtime.api.teaching.inbox.writer import InboxWriter
from runtime.inference.predictions import ModelName, Prediction
from runtime.serving.monitoring.metrics import Metrics
from runtime.teaching.workspace.inbox import InboxBounds
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace

def wait(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, (writer.trouble, metrics.registry.get_sample_value("dandelion_inbox_kept"))
        time.sleep(0.01)

folder, metrics, bounds = Path(sys.argv[1]), Metrics(), InboxBounds(100, 2**30, 1)
workspace = Workspace(folder / "teaching", Bounds(), bounds)
writer = InboxWriter(lambda: workspace.inbox, bounds, metrics, is_busy=lambda: False)
writer.start()
ballast = folder / "ballast"
ballast.write_bytes(bytes(4 * 2**20))
doubt = Prediction("grass", 0.4, {}, True)
writer.offer(bytes(2 * 2**20), doubt, ModelName("colours", "v1"))
wait(lambda: writer.trouble)
print(writer.trouble, metrics.registry.get_sample_value("dandelion_inbox_dropped_total", {"reason": "disk"}))
ballast.unlink()
writer.offer(b"another", doubt, ModelName("colours", "v1"))
wait(lambda: workspace.inbox.waiting().photos == 1 and not writer.trouble)
writer.stop()
"""


def test_on_a_full_disk_photos_are_dropped_and_told_and_it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "fill.py").write_text(_FULL_DISK)
    inside = f"mount -t tmpfs -o size=5m none {disk} && {sys.executable} {tmp_path / 'fill.py'} {disk}"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", inside]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("needs user namespaces")
    assert done.returncode == 0, done.stderr
    assert "the inbox keeps no photos: the disk of" in done.stdout
    assert done.stdout.endswith(" 1.0\n")
