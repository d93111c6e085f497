"""Models that change under a running appliance, on a folder and on a real S3 server that goes away and comes back."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, MODEL
from runtime.registry.catalogue import POINTER, key_of
from runtime.registry.pointer import Pointer, signed
from runtime.registry.publish import add
from runtime.registry.signature import new_keys, signing_key
from runtime.store import open_store
from tests.support.appliances.following import ADMIN, ENTRY, KEY, Followed, metric, refusals, serving
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import UNKNOWN_FROM_HALF, change_manifest, write_bundle
from tests.support.photos import violet
from tests.support.stores.contents import content
from tests.support.stores.s3 import S3Server
from tests.support.suite.repeats import thorough_but
from tests.support.waiting import wait_until


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(open_store(str(tmp_path / "store")), tmp_path)


def test_the_published_model_serves_from_the_start(followed: Followed):
    followed.publish("v1")
    with followed.serve() as server:
        assert serving(server) == "v1"
        assert httpx.get(server.url + "/health").json()["status"] == "ok"
        assert httpx.get(server.url + "/model").json()["serving"]["source"] == followed.store.uri


def test_a_new_version_serves_without_a_restart_and_is_remembered(followed: Followed):
    followed.publish("v1")
    with followed.serve() as server:
        followed.publish("v2")
        wait_until(lambda: metric(server, "dandelion_reloads_total", outcome="loaded") >= 1)
        assert serving(server) == "v2"
        assert metric(server, "dandelion_model_info", version="v2") == 1
        assert metric(server, "dandelion_model_info", version="v1") == 0
        assert server.stop() == 0
    (followed.folder / "store").rename(followed.folder / "elsewhere")  # the store is away
    with followed.serve() as server:
        assert serving(server) == "v2"


def damage(followed: Followed, kind: str) -> None:
    """Point at a version that must not be served."""
    if kind == "wrong answers":
        bundle = write_bundle(followed.folder / "v2")
        case = {"pattern": "noise", "seed": 0, "probabilities": [0.0, 1.0], "int8": [0.0, 1.0]}
        change_manifest(bundle, golden=[case | {"probabilities": [1.0, 0.0], "int8": [1.0, 0.0]}, case])
        followed.publish("v2")
        return
    if kind == "pointer":
        followed.store.write(POINTER, b'{"version":"v2"}')
        return
    pointer = add(write_bundle(followed.folder / "v2"), followed.store)
    if kind == "truncated":
        followed.store.write(key_of("v2", MODEL), content(followed.store, key_of("v2", MODEL))[:50])
    if kind == "absent":
        followed.store.delete(key_of("v2", MODEL))
    followed.store.write(POINTER, msgspec.json.encode(pointer))  # last: a look in between must not find it whole


def status_of(server: Appliance, version: str) -> str:
    versions = httpx.get(server.url + "/models").json()["versions"]
    return next(str(row["status"]) for row in versions if row["version"] == version)


@pytest.mark.parametrize(
    "kind", thorough_but(["wrong answers", "truncated"], ["wrong answers", "truncated", "absent", "pointer"])
)
def test_a_bad_version_is_refused_and_the_old_one_serves_on(followed: Followed, kind: str):
    followed.publish("v1")
    with followed.serve(DANDELION_POLL_S="0.5") as server:
        damage(followed, kind)
        wait_until(lambda: refusals(server) >= 1)
        assert serving(server) == "v1"
        if kind != "pointer":
            health = httpx.get(server.url + "/health").json()
            assert health["status"] == "degraded"
            assert "v2 was refused" in health["reasons"][0]
            wait_until(lambda: status_of(server, "v2") == "refused")  # between two attempts, with a delay that doubles
        followed.publish("v3")
        wait_until(lambda: serving(server) == "v3")
    log = (followed.folder / "appliance.log").read_text()
    assert "Traceback" not in log
    assert any("v1 keeps serving" in line or "latest.json" in line for line in log.splitlines())


def test_a_version_with_the_unknown_class_takes_over_and_gives_way_again(followed: Followed):
    followed.publish("v1")
    with followed.serve() as server:
        assert ask(server)["unknown"] is False
        followed.publish("v2", unknown=UNKNOWN_FROM_HALF)
        wait_until(lambda: serving(server) == "v2")
        answer = ask(server)
        assert (answer["label"], answer["unknown"]) == (None, True)
        assert metric(server, "dandelion_predictions_total", label="(unknown)") == 1
        followed.publish("v3")
        wait_until(lambda: serving(server) == "v3")
        assert ask(server)["unknown"] is False
        described = httpx.get(server.url + "/models").json()["versions"]
        assert {row["version"]: row["unknown"] for row in described} == {"v1": False, "v2": True, "v3": False}


def ask(server: Appliance) -> dict[str, Any]:
    answer = httpx.post(server.url + "/predict", files={"file": violet()}).raise_for_status().json()
    return dict(answer)


def point_at_schema(followed: Followed, version: str, schema_version: int) -> None:
    """Point at a version of another schema, which no publisher of this release would do."""
    bundle = write_bundle(followed.folder / version)
    add(bundle, followed.store)
    change_manifest(bundle, schema_version=schema_version, news={"of": "a later release"})
    manifest = (bundle / MANIFEST).read_bytes()
    followed.store.write(key_of(version, MANIFEST), manifest)
    followed.store.write(POINTER, msgspec.json.encode(Pointer(version, hashlib.sha256(manifest).hexdigest())))


def test_a_version_of_a_later_schema_is_refused_by_that_number_and_the_old_one_serves_on(followed: Followed):
    followed.publish("v1", unknown=UNKNOWN_FROM_HALF)
    with followed.serve(DANDELION_POLL_S="0.5") as server:
        point_at_schema(followed, "v2", 4)
        wait_until(lambda: refusals(server) >= 1)
        assert serving(server) == "v1"
        [reason] = httpx.get(server.url + "/health").json()["reasons"]
        assert "schema version 4, this runtime reads 1 to 3; export the bundle with the matching release" in reason
        assert ask(server)["unknown"] is True
        followed.publish("v3")
        wait_until(lambda: serving(server) == "v3")
    assert "Traceback" not in (followed.folder / "appliance.log").read_text()


def test_with_a_public_key_only_signed_versions_serve(followed: Followed):
    private, public = new_keys()
    followed.publish("v1", signing_key(private))
    with followed.serve(DANDELION_PUBLIC_KEY=public, DANDELION_MODEL_NAMES="colours") as server:
        assert serving(server) == "v1"
        unsigned = add(write_bundle(followed.folder / "v2"), followed.store)
        followed.store.write(POINTER, msgspec.json.encode(signed(unsigned, signing_key(private), after=0)))
        wait_until(lambda: refusals(server) >= 1)
        assert serving(server) == "v1"
        reasons = httpx.get(server.url + "/health").json()["reasons"]
        assert any("v2: is not signed" in reason for reason in reasons)


def test_without_a_model_in_the_store_the_default_serves_until_there_is_one(followed: Followed):
    with followed.serve() as server:
        assert serving(server) == default_bundle().name
        followed.publish("v1")
        wait_until(lambda: serving(server) == "v1")


def test_an_operator_lists_loads_pins_and_rolls_back(followed: Followed):
    followed.publish("v1")
    with followed.serve() as server, httpx.Client(base_url=server.url) as client:
        followed.publish("v2")
        wait_until(lambda: serving(server) == "v2")
        listing = client.get("/models").json()
        assert [row["version"] for row in listing["versions"]] == ["v1", "v2"]
        assert (listing["serving"], listing["latest"], listing["pinned"]) == ("v2", "v2", None)
        rolled = client.post("/models/rollback", headers=ADMIN)
        assert rolled.status_code == 200, rolled.text
        assert (rolled.json()["serving"], rolled.json()["pinned"]) == ("v1", "v1")
        followed.publish("v3")
        time.sleep(0.5)
        assert serving(server) == "v1"
        assert client.post("/models/pin", headers=ADMIN, json={"version": None}).json()["pinned"] is None
        wait_until(lambda: serving(server) == "v3")
        assert client.post("/models/pin", headers=ADMIN, json={"version": "v2"}).json()["serving"] == "v2"
        assert client.post("/models/v9/load", headers=ADMIN).status_code == 404
        assert server.stop() == 0
    with followed.serve() as server:
        assert serving(server) == "v2"  # pinned, across a restart


def test_a_version_is_loaded_by_hand(followed: Followed):
    followed.publish("v1")
    followed.publish("v2")
    with followed.serve(DANDELION_POLL_S="3600") as server:
        assert serving(server) == "v2"

        def loaded() -> bool:  # asked again where the first look at the store came after, and went back to v2
            answer = httpx.post(server.url + "/models/v1/load", headers=ADMIN)
            return answer.json()["serving"] == serving(server) == "v1"

        wait_until(loaded)


def test_only_an_administrator_changes_the_model(followed: Followed):
    followed.publish("v1")
    with followed.serve() as server:
        for headers in ({}, {"x-api-key": "guess"}, {"authorization": "Bearer guess"}):
            refused = httpx.post(server.url + "/models/rollback", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        allowed = httpx.post(server.url + "/models/v1/load", headers={"authorization": f"Bearer {KEY}"})
        assert allowed.status_code == 200
    with followed.serve(DANDELION_ADMIN_KEYS="") as server:
        refused = httpx.post(server.url + "/models/rollback", headers=ADMIN)
        assert refused.status_code == 403
        assert "DANDELION_ADMIN_KEYS" in refused.json()["detail"]
    assert KEY not in (followed.folder / "appliance.log").read_text()


def test_an_appliance_with_a_bundle_of_its_own_follows_nothing(tmp_path: Path):
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1")), DANDELION_ADMIN_KEYS=ENTRY) as server:
        listing = httpx.get(server.url + "/models").json()
        assert (listing["source"], listing["serving"]) == (None, "v1")
        refused = httpx.post(server.url + "/models/rollback", headers=ADMIN)
        assert refused.status_code == 409
        assert "DANDELION_BUNDLE names the one model that serves here" in refused.json()["detail"]


def test_the_store_may_be_killed_and_come_back(mortal_s3: S3Server, tmp_path: Path):
    followed = Followed(mortal_s3.new_bucket("models"), tmp_path)
    followed.publish("v1")
    with followed.serve(**mortal_s3.environment) as server:
        assert serving(server) == "v1"
        mortal_s3.kill()
        wait_until(lambda: httpx.get(server.url + "/health").json()["status"] == "degraded")
        assert serving(server) == "v1"
        assert httpx.get(server.url + "/health/ready").status_code == 200
        mortal_s3.start()
        followed.publish("v2")
        wait_until(lambda: serving(server) == "v2")
        wait_until(lambda: httpx.get(server.url + "/health").json()["status"] == "ok")
