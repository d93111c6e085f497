"""The S3 users of the stack on a real server: what the jobs of compose.yaml make, each may do what it must, no more.

MinIO comes in no package: SeaweedFS enforces the same policies, and a stand-in for `mc` makes them there
(tests/deploy/stand_ins).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

import runtime.serving.feedback.review_counter
from runtime.api.teaching.inbox.corrections import WaitingCorrections
from runtime.names import DEFAULT_PRODUCT
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import prune, publish
from runtime.serving.appliance import assemble
from runtime.serving.feedback import Feedback
from runtime.serving.feedback.correction import name_of
from runtime.serving.feedback.review import accepted, review
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from runtime.serving.taught.photos import send_photos
from runtime.store import Denied, S3Settings, Store, StoreError, open_store
from tests.support.appliances.corrections import keep, send
from tests.support.appliances.following import serving
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import taught_bundle, write_bundle
from tests.support.models.taught import taught
from tests.support.stores.contents import content
from tests.support.stores.s3 import S3Server, s3_server
from tests.support.waiting import wait_until
from training.pipeline.steps import waiting_feedback
from training.storage.locations import Places

ROOT = Path(__file__).parents[3]
MODELS, DATA, ARTIFACTS = "dandelion-models", "dandelion-data", "mlflow-artifacts"
BUCKETS = (MODELS, DATA, ARTIFACTS)
USERS = ("appliance", "pipeline", "mlflow")
MIB = 2**20


class Users:
    """The server after `python -m runtime store init` and deploy/s3/users.sh."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self._secrets = {user: f"a-secret-of-{user}" for user in USERS}
        (folder / "bin").mkdir()
        command = folder / "bin/mc"
        shutil.copy(ROOT / "tests/deploy/stand_ins/mc.py", command)
        command.write_text(command.read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1))
        command.chmod(0o755)

    def make(self, **changed: str) -> subprocess.CompletedProcess[str]:
        keys = {f"S3_{user.upper()}_ACCESS_KEY": user for user in USERS}
        keys |= {f"S3_{user.upper()}_SECRET_KEY": secret for user, secret in self._secrets.items()}
        path = {"PATH": f"{self._folder}/bin:/usr/bin:/bin", "HOME": str(self._folder)}
        return subprocess.run(
            ["/bin/sh", ROOT / "deploy/s3/users.sh"],
            env=self.server.environment | keys | path | changed,
            capture_output=True,
            text=True,
        )

    def replace_secret(self, user: str) -> None:
        self._secrets[user] += "-and-new"

    def settings(self, user: str) -> S3Settings:
        return S3Settings(self.server.endpoint, user, self._secrets[user])

    def open(self, user: str, bucket: str) -> Store:
        return open_store(f"s3://{bucket}", self.settings(user))

    def client(self, user: str) -> Any:
        settings = self.settings(user)
        return boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            region_name="us-east-1",
        )

    def environment(self, user: str) -> dict[str, str]:
        settings = self.settings(user)
        return {
            "MINIO_ENDPOINT": str(settings.endpoint),
            "MINIO_ACCESS_KEY": str(settings.access_key),
            "MINIO_SECRET_KEY": str(settings.secret_key),
            "DANDELION_MODELS": f"s3://{MODELS}",
            "DANDELION_DATA": f"s3://{DATA}",
        }


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        for bucket in BUCKETS:
            server.new_bucket(bucket)
        users = Users(server, tmp_path_factory.mktemp("users"))
        made = users.make()
        assert made.returncode == 0, made.stderr
        yield users


@pytest.fixture(scope="module")
def published(users: Users, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A version that the pipeline's user has published."""
    store = users.open("pipeline", MODELS)
    publish(write_bundle(tmp_path_factory.mktemp("bundles") / "v7"), store, tag=Catalogue(store).tag())
    return "v7"


@pytest.fixture
def feedback(users: Users, tmp_path: Path) -> Iterator[Feedback]:
    """Corrections as an appliance keeps them, of which there are none yet."""
    store = users.server.open(f"s3://{DATA}")
    for entry in list(store.list()):
        store.delete(entry.key)
    feedback = Feedback(users.open("appliance", DATA), tmp_path / "spool", Metrics(), retry_s=60)
    yield feedback
    feedback.stop()


def test_the_appliance_follows_and_fetches_models(users: Users, published: str, tmp_path: Path) -> None:
    catalogue = Catalogue(users.open("appliance", MODELS))
    latest = catalogue.latest()
    assert latest is not None
    assert latest.version == published
    assert catalogue.versions() == [published]
    assert Cache(tmp_path).pull(catalogue, published, manifest_sha256=latest.target[1]).manifest.version == published


def test_before_a_model_is_published_the_appliance_finds_none_rather_than_a_refusal(users: Users) -> None:
    store = users.open("appliance", MODELS)
    assert store.tag("models/nothing.json") is None


def test_the_appliance_keeps_counts_and_sends_corrections(users: Users, feedback: Feedback) -> None:
    receipt = keep(feedback, b"a photo")
    assert receipt.stored == "store"
    assert keep(feedback, b"a photo") == receipt
    feedback.count()
    assert feedback.send() == 0
    stored = users.server.open(f"s3://{DATA}")
    assert {entry.key for entry in stored.list()} == {
        f"feedback/dandelion-classifier/grass/{receipt.id}.jpeg",
        f"feedback/dandelion-classifier/grass/{receipt.id}.json",
    }


def test_a_running_appliance_follows_models_and_keeps_corrections_without_a_complaint(
    users: Users, published: str, feedback: Feedback, tmp_path: Path
) -> None:
    environment = users.environment("appliance") | {"DANDELION_POLL_S": "0.2"}
    with appliance(tmp_path, **environment) as server:
        wait_until(lambda: serving(server) == published, f"{published} serves")
        assert send(server).json()["stored"] == "store"
        health = httpx.get(server.url + "/health").json()
    assert (health["status"], health["reasons"]) == ("ok", [])
    assert len(list(users.server.open(f"s3://{DATA}").list("feedback/colours/grass/"))) == 2


def test_the_appliance_sends_the_photos_that_it_was_taught_from(users: Users, tmp_path: Path) -> None:
    photos = taught(tmp_path / "photos", ("open", 1), ("open", 2), ("shut", 3))
    store = users.open("appliance", DATA)
    assert send_photos(store, "gate", "d1", photos) == 3
    assert send_photos(store, "gate", "d1", photos[1:]) == 0
    kept = {entry.key for entry in users.server.open(f"s3://{DATA}").list("products/gate/")}
    names = {f"{one.label}/{one.sha256}.jpeg" for one in photos[1:]} | {"index.json"}
    assert kept == {f"products/gate/taught/{name}" for name in names}
    assert send_photos(store, DEFAULT_PRODUCT, "d2", photos) == 3
    pipeline = users.open("pipeline", DATA)
    assert {entry.key for entry in pipeline.list("taught/")} > {"taught/index.json"}


def test_a_taught_model_serves_on_its_appliance_alone_which_may_not_write_models(
    users: Users, published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in users.environment("appliance").items():
        monkeypatch.setenv(name, value)
    own = assemble(Settings(threads=1, workers=1, cache=tmp_path / "cache", models=f"s3://{MODELS}"))
    own.start()
    try:
        offered = own.publisher.offer(taught_bundle(tmp_path / "t1"))
    finally:
        own.stop()
    assert (offered.where, offered.pinned, own.engine.model.name.version) == ("cache", True, "t1")
    assert "the server refused" in offered.detail
    latest = Catalogue(users.open("pipeline", MODELS)).latest()
    assert latest
    assert latest.version == published


REFUSED: dict[str, Callable[[Any], object]] = {
    "write a model": lambda s3: s3.put_object(Bucket=MODELS, Key="models/latest.json", Body=b"mine"),
    "delete a model": lambda s3: s3.delete_object(Bucket=MODELS, Key="models/latest.json"),
    "begin an upload of a model": lambda s3: s3.create_multipart_upload(Bucket=MODELS, Key="models/v8/model.onnx"),
    "copy a training photo to where it can be read": lambda s3: s3.copy_object(
        Bucket=DATA, Key="feedback/grass/photo.json", CopySource=f"{DATA}/raw/grass/photo.jpeg"
    ),
    "delete a training photo": lambda s3: s3.delete_object(Bucket=DATA, Key="raw/grass/photo.jpeg"),
    "read a training photo": lambda s3: s3.get_object(Bucket=DATA, Key="raw/grass/photo.jpeg"),
    "write a training photo": lambda s3: s3.put_object(Bucket=DATA, Key="raw/grass/other.jpeg", Body=b""),
    "write a training photo of a product": lambda s3: s3.put_object(Bucket=DATA, Key="products/a/raw/b/c", Body=b""),
    "read a photo that it was taught from": lambda s3: s3.get_object(Bucket=DATA, Key="products/a/taught/b/c.jpeg"),
    "list training photos": lambda s3: s3.list_objects_v2(Bucket=DATA, Prefix="raw/"),
    "list all of the data": lambda s3: s3.list_objects_v2(Bucket=DATA),
    "read MLflow's": lambda s3: s3.get_object(Bucket=ARTIFACTS, Key="1/model"),
    "make a bucket": lambda s3: s3.create_bucket(Bucket="another"),
    "delete a bucket": lambda s3: s3.delete_bucket(Bucket=MODELS),
    "change who may do what": lambda s3: s3.put_bucket_policy(Bucket=MODELS, Policy="{}"),
}


@pytest.fixture
def filled(users: Users) -> None:
    data = users.server.open(f"s3://{DATA}")
    for key in ("feedback/grass/photo.jpeg", "raw/grass/photo.jpeg", "products/a/taught/b/c.jpeg"):
        data.write(key, b"somebody's photo")
    users.server.open(f"s3://{ARTIFACTS}").write("1/model", b"MLflow's")


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.usefixtures("filled", "published")
def test_the_appliance_may_not(what: str, users: Users) -> None:
    with pytest.raises(ClientError) as refused:
        REFUSED[what](users.client("appliance"))
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("command", [["models", "publish"], ["models", "prune"], ["store", "init"]])
def test_a_refusal_is_told_in_one_line(command: list[str], users: Users, published: str, tmp_path: Path) -> None:
    arguments = {"publish": [str(write_bundle(tmp_path / "v8"))], "prune": ["--keep", "1"], "init": ["s3://another"]}
    spare = users.server.open(f"s3://{MODELS}")
    for version in ("v1", "v2"):
        spare.write(f"models/{version}/manifest.json", content(spare, f"models/{published}/manifest.json"))
    done = subprocess.run(
        [sys.executable, "-m", "runtime", *command, *arguments[command[-1]]],
        cwd=ROOT,
        env=os.environ | users.environment("appliance"),
        capture_output=True,
        text=True,
    )
    for version in ("v1", "v2"):
        spare.delete(f"models/{version}/manifest.json")
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert re.search(r"s3://\S+ at http://\S+: the server refused \((AccessDenied|403)\); check MINIO_ACCESS_KEY", line)


def test_the_appliance_reviews_corrections_and_deletes_all_of_them(users: Users, feedback: Feedback) -> None:
    kept = [keep(feedback, data).id for data in (b"right", b"wrong")]
    waiting = WaitingCorrections(users.open("appliance", DATA))
    right, wrong = sorted(waiting.all().by_id.values(), key=lambda one: kept.index(one.sha256))
    assert waiting.photo(right) == b"right"
    waiting.review(right, "accepted")
    assert [one.sha256 for one in accepted(users.open("pipeline", DATA))] == kept[:1]
    waiting.delete(wrong)
    waiting.delete_named(name_of(right.photo))
    assert list(users.server.open(f"s3://{DATA}").list()) == []


class MayNotDelete:
    """A store whose key has the policy of earlier releases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def delete(self, key: str) -> None:
        raise Denied(f"{key}: the server refused (AccessDenied)")


def test_what_an_appliance_may_not_remove_the_pipeline_removes(
    users: Users,
    feedback: Feedback,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(runtime.serving.feedback.review_counter, "ALONE_S", -60)  # nothing can be made old in S3
    feedback = Feedback(
        MayNotDelete(users.open("appliance", DATA)),
        tmp_path / "spool",
        Metrics(),
        retry_s=60,  # type: ignore[arg-type]
    )
    whole, alone = keep(feedback, b"with its record"), keep(feedback, b"left alone")
    stored = users.server.open(f"s3://{DATA}")
    stored.delete(f"feedback/dandelion-classifier/grass/{alone.id}.json")
    caplog.set_level("INFO")
    for _ in range(3):
        feedback.count()
    assert len(list(stored.list())) == 3
    assert len([line for line in caplog.messages if "the pipeline removes" in line]) == 1
    for name, value in users.environment("pipeline").items():
        monkeypatch.setenv(name, value)
    assert waiting_feedback(Places.from_environment()) == {"accepted": 0, "new": 0}
    assert {entry.key.rsplit(".")[0] for entry in stored.list()} == {f"feedback/dandelion-classifier/grass/{whole.id}"}


def test_the_pipeline_reads_and_writes_models_and_data(users: Users, feedback: Feedback, tmp_path: Path) -> None:
    kept = keep(feedback, b"for training")
    data = users.open("pipeline", DATA)
    review(data, kept.id, "accepted")
    (one,) = accepted(data)
    data.download(one.photo, tmp_path / "photo", max_bytes=MIB)
    (tmp_path / "large").write_bytes(bytes(20 * MIB))  # in parts
    data.upload("raw/grass/large.jpeg", tmp_path / "large")
    data.remove_abandoned("raw/")
    data.delete("raw/grass/large.jpeg")
    prune(users.open("pipeline", MODELS), keep=5, in_use=frozenset())
    with pytest.raises(StoreError, match="AccessDenied"):
        users.open("pipeline", ARTIFACTS).write("1/model", b"not MLflow's")


def test_mlflow_reads_and_writes_its_artifacts_alone(users: Users) -> None:
    store = users.open("mlflow", ARTIFACTS)
    store.write("1/report.html", b"a report")
    assert content(store, "1/report.html") == b"a report"
    assert [entry.key for entry in store.list("1/")][-1] == "1/report.html"
    store.delete("1/report.html")
    for bucket in (MODELS, DATA):
        with pytest.raises(StoreError, match="AccessDenied"):
            list(users.open("mlflow", bucket).list())


def test_the_users_can_be_made_again_and_a_new_secret_replaces_the_old(users: Users) -> None:
    before = users.settings("mlflow")
    users.replace_secret("mlflow")
    made = users.make()
    assert made.returncode == 0, made.stderr
    assert len(made.stdout.splitlines()) == len(USERS)
    test_mlflow_reads_and_writes_its_artifacts_alone(users)
    with pytest.raises(StoreError, match="check MINIO_SECRET_KEY"):
        list(open_store(f"s3://{ARTIFACTS}", before).list())


def test_users_of_another_server_are_left_to_it(users: Users) -> None:
    left = users.make(S3_USERS="keep", MINIO_ENDPOINT="127.0.0.1:1")
    assert left.returncode == 0
    assert "need the policies in deploy/s3" in left.stdout


@pytest.mark.parametrize("wrong", [{"MINIO_SECRET_KEY": "wrong"}, {"MINIO_ENDPOINT": "127.0.0.1:1"}])
def test_a_wrong_root_key_or_endpoint_is_told_in_one_line(wrong: dict[str, str], users: Users) -> None:
    done = users.make(**wrong)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "check S3_ENDPOINT, S3_SECRET_KEY" in line
    assert "a-secret" not in line
