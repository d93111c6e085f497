"""A store that is slow, broken or rude: looks end in time, what is wrong is said once, and all else goes on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from runtime.registry.cache import Cache
from runtime.registry.catalogue import POINTER, Catalogue
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.versions.reloader import Reloader
from runtime.serving.versions.store_deadline import PollTiming
from tests.support.appliances.following import ADMIN, ENTRY
from tests.support.appliances.servers import Appliance, appliance
from tests.support.hostile.misbehaving import WAYS, FakeS3, fake_s3
from tests.support.hostile.world import LONGEST_LINE, InProcess, stand_in
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.waiting import wait_until

LOOK_S = 0.4
LOOKS = 3
SLACK_S = 4.0  # of a busy machine
LISTING, MANIFESTS = "list-type", "manifest.json"
# Each way, for the part of a look that it can disturb.
CASES = [(how, POINTER) for how in WAYS if not how.startswith("has ") and how != "answers with a page"]
CASES += [(how, LISTING) for how in WAYS if how != "says no ETag"]
CASES += [(how, MANIFESTS) for how in ("drips its bodies", "fails", "refuses in many lines")]


class Followed:
    """A store that can be told to misbehave, a reloader in this process, and as many versions as are asked for."""

    def __init__(self, store: FakeS3, folder: Path) -> None:
        self.store, self._folder, self._count = store, folder, count(1)
        self.newest = self.publish()
        catalogue = Catalogue(store.open())
        patient = self._open_reloader(catalogue, 60)  # what is done for the first time takes a while
        patient.initial_model()
        patient.poll()
        self.reloader = self._open_reloader(catalogue, LOOK_S)
        assert self.reloader.initial_model().name.version == self.newest

    def _open_reloader(self, catalogue: Catalogue, look_s: float) -> Reloader:
        cache = Cache(self._folder / "cache")
        trials = InProcess(cache.state_file, seconds=60, memory_bytes=None)
        return Reloader(catalogue, cache, trials, stand_in, Metrics(), timing=PollTiming(0.1, look_s))

    def publish(self) -> str:
        self.newest = f"v{next(self._count):03}"
        self.store.publish(write_bundle(self._folder / self.newest))
        return self.newest

    def is_well(self) -> bool:
        self.reloader.poll()
        return self.reloader.status.trouble is None and self.newest in self.reloader.known_versions()


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("followed")
    with fake_s3(folder / "store") as fake:
        yield Followed(fake, folder)


# A call that is given up may be in a callback just then, whose exceptions Python drops and reports.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("how", "only"), CASES)
def test_a_store_that_misbehaves_is_said_to_once_and_followed_again_when_it_is_well(
    followed: Followed, how: str, only: str, caplog: pytest.LogCaptureFixture
):
    reloader = followed.reloader
    wait_until(followed.is_well)
    whole, serving = reloader.status.looked_at, followed.newest
    assert whole
    caplog.clear()
    with followed.store.misbehaving(how, only), caplog.at_level(logging.INFO):
        if only == MANIFESTS:
            followed.publish()  # else its manifest is known
        for _ in range(LOOKS):
            began = time.monotonic()
            reloader.poll()
            assert time.monotonic() - began < 2 * LOOK_S + SLACK_S
            check_line(reloader.status.trouble)
        assert reloader.status.looked_at == whole
        assert serving in reloader.known_versions()
    lines = [record for record in caplog.records if record.name.startswith("runtime")]
    assert len(lines) == 1, [record.getMessage() for record in lines]
    check_line(lines[0].getMessage())
    assert lines[0].exc_info is None
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "bounded-call"], seconds=30)
    followed.publish()
    wait_until(followed.is_well)
    assert reloader.status.looked_at > whole


def check_line(text: str | None) -> None:
    assert text
    assert text.isprintable(), repr(text)
    assert len(text) <= LONGEST_LINE
    assert "s3://models" in text


def test_a_pointer_that_is_no_json_is_said_once(followed: Followed, caplog: pytest.LogCaptureFixture):
    wait_until(followed.is_well)
    caplog.clear()
    (followed.store.folder / POINTER).write_bytes(b"<html>\nnot today\n</html>")
    with caplog.at_level(logging.INFO, "runtime"):
        for _ in range(LOOKS):
            followed.reloader.poll()
            check_line(followed.reloader.status.trouble)
    assert len(caplog.records) == 1
    followed.publish()
    wait_until(followed.is_well)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FakeS3]:
    with fake_s3(tmp_path / "store") as fake:
        fake.publish(write_bundle(tmp_path / "v1"))
        yield fake


@pytest.fixture
def server(store: FakeS3, tmp_path: Path) -> Iterator[Appliance]:
    environment = {
        "DANDELION_MODELS": "s3://models",
        "DANDELION_DATA": str(tmp_path / "data"),
        "DANDELION_CACHE": str(tmp_path / "cache"),
        "DANDELION_POLL_S": "0.1",
        "DANDELION_LOOK_S": "1",
        "DANDELION_ADMIN_KEYS": ENTRY,
    }
    with appliance(tmp_path, **environment, **store.environment) as running:
        yield running


def test_while_a_store_drips_everything_that_needs_no_store_works(store: FakeS3, server: Appliance, tmp_path: Path):
    with httpx.Client(base_url=server.url, timeout=8) as client:
        store.publish(write_bundle(tmp_path / "v2"))
        wait_until(lambda: client.get("/models").json()["serving"] == "v2")
        wait_until(lambda: client.get("/health").json()["status"] == "ok")
        with store.misbehaving("drips its bodies"):
            health = wait_until(lambda: degraded(client))
            assert "did not answer within 1 s (DANDELION_LOOK_S)" in health["reasons"][0]
            assert health["following"]["last_look"]
            threads = thread_count(server)
            assert {row["version"] for row in client.get("/models").json()["versions"]} == {"v1", "v2"}
            assert client.post("/models/rollback", headers=ADMIN).json()["serving"] == "v1"
            assert client.post("/models/pin", headers=ADMIN, json={"version": "v2"}).json()["serving"] == "v2"
            assert client.post("/models/v1/predict", files={"file": photo()}).status_code == 200
            kept = client.post("/feedback", files={"file": photo()}, data={"label": "grass"})
            assert kept.json()["stored"] == "store", kept.text
            for how in ("drips its heads", "drips its bodies"):
                with store.misbehaving(how):
                    before = store.asked
                    wait_until(lambda before=before: store.asked >= before + 5)  # looks, a second each
            assert thread_count(server) <= threads + 4
            assert client.get("/health").json()["following"] == health["following"]
        wait_until(lambda: client.get("/health").json()["status"] == "ok")
        assert server.stop() == 0
    log = server.log.read_text()
    assert "Traceback" not in log
    assert log.count("the store cannot be reached") == 1


def degraded(client: httpx.Client) -> dict[str, dict[str, str]] | None:
    health: dict[str, dict[str, str]] = client.get("/health").json()
    return health if health["status"] == "degraded" else None  # type: ignore[comparison-overlap]


def thread_count(server: Appliance) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))
