"""A disk that fails behind the workspace: predictions and health go on, and nothing is forgotten half."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runtime.api.security.keys import new_key
from runtime.api.teaching.service import TeachingService
from runtime.serving.appliance import assemble
from runtime.serving.settings import Settings
from runtime.teaching.workspace import database
from runtime.teaching.workspace.errors import Unusable
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TeachingService]:
    """The service of an appliance that does not run."""
    bundle = write_bundle(tmp_path / "v1")
    service = TeachingService(assemble(Settings(threads=1, workers=1, bundle=bundle, cache=tmp_path / "cache")))
    yield service
    service.stop()


def test_a_damaged_database_is_a_trouble_and_no_failure_of_health(service: TeachingService) -> None:
    file = service.workspace().database.file
    service.workspace().datasets.create("meadow")
    other = sqlite3.connect(file)
    other.execute("UPDATE datasets SET updated = 0")  # so that pages in memory are read again
    other.commit()
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    file.write_bytes(file.read_bytes()[:100] + b"\xff" * (file.stat().st_size - 100))
    (trouble,) = service.troubles()
    assert trouble.startswith(f"{file}: cannot be used (")
    assert trouble.endswith("mend it, or move it away to begin anew")


def test_a_database_that_another_process_keeps_busy_is_refused_with_a_remedy(
    service: TeachingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.1)
    file = service.workspace().database.file
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Unusable, match=r"another process has been writing for 0\.1 s; do it again$"):
            service.workspace().datasets.create("meadow")
    finally:
        other.close()


def test_a_dataset_stays_until_it_is_noted_that_its_copies_are_to_be_deleted(tmp_path: Path) -> None:
    key, entry = new_key()
    options = ("--bundle", str(write_bundle(tmp_path / "v1")), "--cache", str(tmp_path / "cache"))
    data = str(tmp_path / "data")
    with (
        appliance(tmp_path, *options, "--data", data, DANDELION_ADMIN_KEYS=entry) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": key}) as client,
    ):
        dataset = client.post("/teach", json={"name": "meadow"}).json()["id"]
        orders = tmp_path / "cache" / "taught"
        (orders / "sent").mkdir(parents=True)
        (orders / "sent" / "meadow.json").write_text(f'{{"dataset": "{dataset}"}}')
        blocked = orders / "meadow.json"
        blocked.mkdir()  # where the order would be written
        assert client.delete(f"/teach/{dataset}").status_code == 507
        assert client.get(f"/teach/{dataset}").status_code == 200
        blocked.rmdir()
        assert client.delete(f"/teach/{dataset}").status_code == 204
        assert client.get(f"/teach/{dataset}").status_code == 404
