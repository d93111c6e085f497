"""A model that was taught over HTTP, on its way to other appliances and into the training pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from runtime.__main__ import main
from runtime.api.security.keys import new_key
from runtime.registry.signature import new_keys
from runtime.store import open_store
from runtime.store.trees import read_index
from tests.runtime.api.teach.test_learning import LABELS, filled, wait_for
from tests.support.appliances.servers import appliance
from tests.support.waiting import wait_until

PRODUCT = "meadow"
Start = Callable[..., httpx.Client]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts appliances by their names, with a cache each, and stores of models and photos that they share."""
    key, entry = new_key()
    shared = {
        "DANDELION_MODELS": str(tmp_path / "models"),
        "DANDELION_DATA": str(tmp_path / "data"),
        "DANDELION_ADMIN_KEYS": entry,
        "DANDELION_POLL_S": "0.2",
    }
    with ExitStack() as running:

        def begin(name: str, **environment: str) -> httpx.Client:
            folder = tmp_path / name
            folder.mkdir()
            options = shared | {"DANDELION_CACHE": str(folder / "cache")} | environment
            server = running.enter_context(appliance(folder, **options))
            return running.enter_context(httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=60))

        yield begin


def teach(client: httpx.Client) -> tuple[str, str]:
    """Teach it drawn photos; returns the path of the dataset and the version."""
    path = f"/teach/{client.post('/teach', json={'name': PRODUCT}).json()['id']}"
    for label in LABELS:
        client.put(f"{path}/classes", json={"label": label})
    filled(client, path)
    client.post(f"{path}/train")
    return path, str(wait_for(client, path)["version"])


def serves(client: httpx.Client) -> str:
    return str(client.get("/health").json()["model"]["version"])


def test_it_reaches_the_other_appliances_and_its_photos_the_pipeline(start: Start, tmp_path: Path) -> None:
    ours, theirs = start("ours"), start("theirs")
    path, version = teach(ours)
    answer = ours.post(f"{path}/serve").json()
    assert (answer["where"], answer["pinned"]) == ("store", False)
    assert serves(ours) == version
    wait_until(lambda: serves(theirs) == version, "the other appliance follows")
    data = open_store(str(tmp_path / "data"))
    index = wait_until(lambda: read_index(data, f"products/{PRODUCT}/taught"))
    wait_until(lambda: len(read_index(data, f"products/{PRODUCT}/taught").files) == 16)  # type: ignore[union-attr]
    assert index.origin == path.removeprefix("/teach/")
    assert ours.delete(path).status_code == 204
    wait_until(lambda: not list(data.list("products/")), "what was sent is deleted with the dataset")
    assert serves(ours) == version


@pytest.mark.thorough
def test_where_models_must_be_signed_others_take_it_once_the_operator_has_signed_it(
    start: Start, tmp_path: Path
) -> None:
    private, public = new_keys()
    names = {"DANDELION_PUBLIC_KEY": public, "DANDELION_MODEL_NAMES": f"dandelion-classifier,{PRODUCT}"}
    ours, theirs = start("ours", **names), start("theirs", **names)
    path, version = teach(ours)
    answer = ours.post(f"{path}/serve").json()
    assert (answer["where"], answer["pinned"], serves(ours)) == ("cache", True, version)
    refused = theirs.post(f"/models/{version}/load")
    assert refused.status_code == 409
    assert "its signature is not of the key in DANDELION_PUBLIC_KEY" in refused.json()["detail"]
    for command in ("sign", "promote"):
        words = ["models", command, version, "--models", str(tmp_path / "models"), "--key", private]
        assert CliRunner().invoke(main, words).exit_code == 0
    wait_until(lambda: serves(theirs) == version, "the other appliance takes what the operator has signed")
    assert theirs.get("/health").json()["reasons"] == []
    assert ours.post("/models/pin", json={"version": None}).json()["serving"] == version
