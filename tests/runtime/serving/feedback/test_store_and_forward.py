"""Corrected photos reach the store, or wait for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from runtime.names import DEFAULT_PRODUCT, Label
from runtime.serving.feedback import FeedbackFull, Limits, SpoolFailed
from runtime.store import open_store
from tests.support.appliances.corrections import feedback_at, keep, send
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.stores.s3 import s3_server
from tests.support.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Appliance]:
    bundle = write_bundle(tmp_path / "v1")
    with appliance(tmp_path, "--bundle", str(bundle), DANDELION_DATA=str(tmp_path / "data")) as running:
        yield running


def test_a_corrected_photo_is_kept_under_its_label_with_what_is_known(server: Appliance, tmp_path: Path):
    data = photo("dandelion", format="PNG")
    answer = send(server, data, "dandelion", predicted="grass", version="v1")
    digest = hashlib.sha256(data).hexdigest()
    assert (answer.status_code, answer.json()) == (202, {"id": digest, "label": "dandelion", "stored": "store"})
    folder = tmp_path / "data" / "feedback" / "colours" / "dandelion"
    assert (folder / f"{digest}.png").read_bytes() == data
    known = json.loads((folder / f"{digest}.json").read_text())
    assert known.keys() == {"sha256", "label", "predicted", "version", "received", "product"}
    assert (known["predicted"], known["version"], known["product"]) == ("grass", "v1", "colours")
    send(server, data, "dandelion")
    assert len(list(folder.iterdir())) == 2  # once


def test_bad_feedback_is_refused_and_leaves_nothing(server: Appliance, tmp_path: Path):
    unknown = send(server, label="../daisy")
    assert unknown.status_code == 404
    assert "choose dandelion, grass" in unknown.json()["detail"]
    assert send(server, label=None).status_code == 400
    assert send(server, b"text").status_code == 415
    assert send(server, photo()[:300]).status_code == 422
    assert httpx.post(server.url + "/feedback", data={"label": "grass"}).status_code == 400
    assert not (tmp_path / "data").exists()


def test_without_a_place_for_photos_the_operator_is_told(tmp_path: Path):
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1"))) as server:
        refused = send(server)
    assert refused.status_code == 503
    assert "DANDELION_DATA" in refused.json()["detail"]


def test_photos_wait_on_disk_while_the_store_is_away_even_across_a_restart(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    bundle = write_bundle(tmp_path / "v1")
    with s3_server(tmp_path_factory.mktemp("s3-feedback")) as s3:
        store = s3.new_bucket("data")
        environment = s3.environment | {
            "DANDELION_DATA": store.uri,
            "DANDELION_CACHE": str(tmp_path / "cache"),
            "DANDELION_POLL_S": "0.2",
        }
        with appliance(tmp_path, "--bundle", str(bundle), **environment) as server:
            assert send(server, photo("grass", 1)).json()["stored"] == "store"
            s3.kill()
            assert send(server, photo("grass", 2)).json()["stored"] == "spool"
            assert "1 corrected photos wait" in httpx.get(server.url + "/health").json()["reasons"][0]
            assert server.stop() == 0
        with appliance(tmp_path, "--bundle", str(bundle), **environment):
            s3.start()
            spool = open_store(str(tmp_path / "cache" / "spool"))
            wait_until(lambda: not list(spool.list()), "no photo waits on disk")
            sent = {entry.key.split("/")[-1].split(".")[0] for entry in store.list("feedback/colours/grass/")}
            assert sent == {hashlib.sha256(photo("grass", seed)).hexdigest() for seed in (1, 2)}


def test_what_waits_on_disk_counts_and_a_full_disk_refuses_and_loses_nothing(tmp_path: Path):
    (tmp_path / "data").touch()  # a file where the store should be
    feedback = feedback_at(tmp_path, Limits(photos=2, share=1))
    assert [keep(feedback, photo("grass", seed)).stored for seed in range(2)] == ["spool", "spool"]
    with pytest.raises(
        FeedbackFull, match=r"^2 corrected photos \(0\.0 MiB\) wait for review, .* `python -m training fee"
    ):
        keep(feedback, photo("grass", 3))
    (tmp_path / "data").unlink()
    assert feedback.send() == 4
    assert len(list(open_store(str(tmp_path / "data")).list("feedback/"))) == 4
    assert feedback.spooled == 0


def test_a_photo_that_can_be_kept_nowhere_is_refused_and_leaves_room(tmp_path: Path):
    for name in ("data", "spool"):
        (tmp_path / name).touch()
    feedback = feedback_at(tmp_path, Limits(photos=1))
    for seed in range(2):
        with pytest.raises(SpoolFailed, match="kept nowhere"):
            keep(feedback, photo("grass", seed))
    (tmp_path / "data").unlink()
    assert keep(feedback, photo("grass")).stored == "store"


@pytest.mark.parametrize("label", ["dandelion", "pissenlit d'été", "蒲公英", "a..b", "-rf", "%2e%2e", "x" * 100])
def test_whatever_a_manifest_may_name_a_label_is_a_folder_below_feedback(label: str, tmp_path: Path):
    feedback = feedback_at(tmp_path, Limits())
    receipt = keep(feedback, photo(), msgspec.convert(label, Label))
    (kept,) = (tmp_path / "data").rglob("*.jpeg")
    assert kept.relative_to(tmp_path / "data").parts == (
        "feedback", DEFAULT_PRODUCT, label, f"{receipt.id}.jpeg"
    )  # fmt: skip


@pytest.mark.parametrize(
    "label", ["", ".", "..", "../daisy", "a/b", "a\\b", "/daisy", ".hidden", "a\nb", "a\0", "x" * 101]
)
def test_a_label_that_would_lead_elsewhere_is_in_no_manifest(label: str):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(label, Label)
