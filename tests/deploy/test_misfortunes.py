"""What an operator gets wrong, and what a host runs out of: one clear line, and what can go on goes on."""

from __future__ import annotations

import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.deploy.engine import DOCKER, PACKAGES, Engine
from tests.support.appliances.servers import free_port
from tests.support.models.bundles import write_bundle
from tests.support.stores.s3 import S3Server
from tests.support.suite.system_packages import needs, needs_root
from tests.support.waiting import wait_until

pytestmark = [
    needs(*PACKAGES),
    needs_root,
    pytest.mark.timeout(1800),
]  # the first to build the images of MLflow and Airflow

S3 = {"DANDELION_MODELS": "s3://models", "MINIO_ACCESS_KEY": "tester", "MINIO_SECRET_KEY": "wrong"}
NOBODY = "127.0.0.1:1"

no_room = pytest.mark.parametrize(
    ("state", "because"),
    [
        ("--tmpfs=/var/lib/dandelion:size=4k,uid=10001", "No space left on device"),
        ("--volume=/usr/share:/var/lib/dandelion:ro", "Read-only file system"),
    ],
)


def options(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]


def complaint(engine: Engine, *arguments: str, **settings: str) -> str:
    """What a program in a container says when it cannot do its work: one line."""
    done = engine.run(DOCKER, "run", "--rm", "--network=none", *options(settings), *arguments)
    assert done.returncode != 0
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    return line


@contextmanager
def served(engine: Engine, image: str, *how: str) -> Iterator[tuple[str, str]]:
    """A container that answers although something is wrong; its name, and what /health says of the models."""
    name = f"dandelion-unlucky-{uuid.uuid4().hex[:6]}"
    engine.docker("run", "--detach", "--name", name, "--read-only", *how, image, "runtime")
    try:
        program = (
            "import os, urllib.request as u; "
            "print(u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=9).read().decode())"
        )
        wait_until(lambda: engine.docker("exec", name, "python", "-c", program), "it answers")
        yield name, engine.docker("exec", name, "python", "-c", program)
    finally:
        engine.docker("rm", "--force", "--volumes", name)


def said(engine: Engine, name: str) -> list[str]:
    log = engine.run(DOCKER, "logs", name)
    return (log.stdout + log.stderr).splitlines()


def said_once(engine: Engine, name: str, reason: str) -> None:
    """The reason is in one line, as a warning; nothing is a stack trace."""
    lines = said(engine, name)
    assert not [line for line in lines if "Traceback" in line or line.startswith("  File")]
    (line,) = [line for line in lines if reason in line]
    assert "WARNING" in line


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a model, as a folder that may be read by anybody."""
    folder = tmp_path_factory.mktemp("published")
    store = open_store(str(folder / "store"))
    store.create()
    publish(write_bundle(folder / "v7"), store, tag=Catalogue(store).tag())
    subprocess.run(["chmod", "-R", "a+rX", folder.parent], check=True)
    return folder / "store"


def test_a_wrong_secret_is_told_once_and_the_default_model_serves(engine: Engine, image: str, s3: S3Server) -> None:
    s3.new_bucket("models")
    settings = S3 | {"MINIO_ENDPOINT": s3.endpoint, "PORT": str(free_port())}
    with served(engine, image, "--network=host", *options(settings)) as (name, health):
        assert "check MINIO_SECRET_KEY" in health
        said_once(engine, name, "check MINIO_SECRET_KEY")


def test_a_wrong_endpoint_is_told_once_and_the_default_model_serves(engine: Engine, image: str) -> None:
    with served(engine, image, "--network=none", *options(S3 | {"MINIO_ENDPOINT": NOBODY})) as (name, health):
        assert "check MINIO_ENDPOINT" in health
        said_once(engine, name, "check MINIO_ENDPOINT")


@pytest.mark.parametrize(
    ("wrong", "because"),
    [({"MINIO_SECRET_KEY": ""}, "aws_secret_access_key"), ({"MINIO_ENDPOINT": "no way"}, "no way")],
)
def test_half_a_key_and_an_endpoint_that_is_none_stop_the_start(
    wrong: dict[str, str], because: str, engine: Engine, image: str
) -> None:
    settings = S3 | {"MINIO_ENDPOINT": NOBODY} | wrong
    for command in (["runtime"], ["runtime", "models", "list"], ["ui"]):
        line = complaint(engine, image, *command, **settings)
        assert because in line
        assert "check MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY" in line


@no_room
def test_a_full_or_read_only_disk_is_told_once_and_the_default_model_serves(
    state: str, because: str, engine: Engine, image: str, published: Path
) -> None:
    store = [f"--volume={published}:/models:ro", *options({"DANDELION_MODELS": "/models", "DANDELION_POLL_S": "0.2"})]
    with served(engine, image, "--network=none", state, *store) as (name, health):
        assert because in health
        assert "make room for DANDELION_CACHE, or make it writable" in health
        said_once(engine, name, because)


@no_room
def test_a_model_that_finds_no_room_is_not_taken_in(
    state: str, because: str, engine: Engine, image: str, published: Path
) -> None:
    with tarfile.open(published.parent / "v7.bundle", "w") as archive:
        archive.add(published.parent / "v7", "v7")
    bundle = f"--volume={published.parent}/v7.bundle:/v7.bundle:ro"
    store = options({"DANDELION_MODELS": "/var/lib/dandelion/models"})
    assert because in complaint(engine, state, bundle, *store, image, "runtime", "models", "import", "/v7.bundle")


def test_servers_without_their_database_say_so(engine: Engine, mlflow_image: str, airflow_image: str) -> None:
    wrong = "postgresql+psycopg2://somebody:wrong@127.0.0.1:1/base"
    name = "MLFLOW_BACKEND_STORE_URI"
    assert complaint(engine, mlflow_image, **{name: wrong}).startswith(f"{name}: ")
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    assert complaint(engine, airflow_image, "/opt/dandelion/init.sh", **{name: wrong}).startswith(f"{name}: ")
