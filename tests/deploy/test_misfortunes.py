"""What an operator gets wrong, and what a host runs out of: one clear line, and what can go on goes on."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runtime.models.catalogue import Catalogue
from runtime.models.publish import publish
from runtime.store import open_store
from tests.bundles import write_bundle
from tests.deploy.engine import DOCKER, ROOT, Engine, needs_engine
from tests.deploy.stack import wait_until
from tests.photos import photo
from tests.s3 import S3Server

pytestmark = needs_engine

STORE = {"DANDELION_MODELS": "s3://models", "DANDELION_DATA": "s3://data"}
DATABASE = "postgresql+psycopg2://mlflow:wrong@127.0.0.1:1/mlflow"


def options(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]


def complaint(engine: Engine, image: str, *command: str, **settings: str) -> str:
    """What a command in the image says when it fails."""
    done = engine.run(DOCKER, "run", "--rm", "--network=none", *options(settings), image, *command)
    assert done.returncode != 0
    return done.stderr.strip()


@contextmanager
def served(engine: Engine, image: str, *how: str) -> Iterator[tuple[str, str]]:
    """A container that answers although something is wrong; its name, and what /health says of the models."""
    name = f"dandelion-unlucky-{uuid.uuid4().hex[:6]}"
    engine.docker("run", "--detach", "--name", name, "--read-only", *how, image, "runtime")
    try:
        program = (
            "import json, urllib.request as u; "
            "print(u.urlopen('http://127.0.0.1:8000/health', timeout=9).read().decode())"
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
