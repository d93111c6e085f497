"""The worker: features as photos come, one teaching at a time, and nothing half after a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.bundle.manifest import Bundle, BundleError
from runtime.host.photo_limits import DEFAULT_LIMITS
from runtime.teaching import worker as worker_module
from runtime.teaching.backbone import Backbone
from runtime.teaching.extraction import Extraction
from runtime.teaching.lessons import Lessons, model_name, taught_from
from runtime.teaching.worker import Stage, Teach, Worker
from runtime.teaching.workspace.errors import Conflict
from runtime.teaching.workspace.records import Bounds, Run, State
from runtime.teaching.workspace.runs import INTERRUPTED
from runtime.teaching.workspace.thumbnails import with_thumbnail
from runtime.teaching.workspace.workspace import Workspace
from tests.support.photos import photo
from tests.support.waiting import wait_until


class Noted:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.photos = 0
        self.runs: list[State] = []

    def seen(self, seconds: float) -> None:
        self.photos += 1

    def ended(self, state: State, seconds: float) -> None:
        self.runs.append(state)


class Bench:
    """A worker on a workspace, which can be stopped and started anew."""

    def __init__(self, workspace: Workspace, extraction: Extraction) -> None:
        self.workspace, self.extraction, self.noted, self.busy = workspace, extraction, Noted(), False
        self.worker = self.start()

    def start(self, teach: Teach | None = None) -> Worker:
        teach = teach or Lessons(self.extraction)
        self.worker = Worker(lambda: self.workspace, self.extraction, teach, self.noted, is_busy=lambda: self.busy)
        return self.worker

    def add(self, dataset: str, *seeds: int, label: str | None = "grass") -> None:
        for seed in seeds:
            sent = with_thumbnail(f"{seed}.jpg", photo(label or "grass", seed), DEFAULT_LIMITS)
            assert self.workspace.photos.add(dataset, sent, label, "upload").outcome == "added"

    def fill(self, dataset: str, each: int = 6) -> None:
        for label in ("dandelion", "grass"):
            self.add(dataset, *range(each), label=label)

    def waiting(self, dataset: str) -> int:
        return self.workspace.datasets.get(dataset, self.extraction.about().key).waiting

    def run(self, dataset: str) -> Run:
        run = self.workspace.runs.of(dataset)
        assert run
        return run

    def ended(self, dataset: str) -> Run:
        wait_until(lambda: self.run(dataset).ended)
        return self.run(dataset)


@pytest.fixture
def bench(workspace: Workspace, extraction: Extraction) -> Iterator[Bench]:
    bench = Bench(workspace, extraction)
    yield bench
    bench.worker.stop()


def test_photos_get_features_as_they_come(bench: Bench, dataset: str) -> None:
    bench.add(dataset, 1, 2)
    assert bench.waiting(dataset) == 2
    bench.worker.wake()
    wait_until(lambda: bench.waiting(dataset) == 0)
    bench.add(dataset, 3, label=None)
    bench.worker.wake()
    wait_until(lambda: bench.waiting(dataset) == 0)
    wait_until(lambda: bench.noted.photos == 3)


def test_a_teaching_leaves_a_report_and_a_bundle_and_the_next_one_replaces_them(bench: Bench, dataset: str) -> None:
    bench.fill(dataset)
    bench.worker.submit(dataset)
    assert bench.ended(dataset).state == "done"
    first = bench.workspace.datasets.get(dataset, "")
    assert first.version
    bundle = Bundle.open(bench.workspace.files.models(dataset) / first.version)
    assert bundle.manifest.labels == ["dandelion", "grass"]
    assert bundle.manifest.name == "meadow"
    bench.add(dataset, *range(20, 25))
    assert bench.workspace.datasets.get(dataset, "").outdated
    bench.worker.submit(dataset)
    assert bench.ended(dataset).state == "done"
    second = bench.workspace.datasets.get(dataset, "")
    assert not second.outdated
    kept = {each.name for each in bench.workspace.files.models(dataset).iterdir()}
    assert kept == {second.version, f"{second.version}.photos.json"}
    photos = taught_from(bench.workspace, dataset, second.version or "").photos
    assert sorted(label for label, _ in photos) == ["dandelion"] * 6 + ["grass"] * 11
    assert second.version != first.version
    assert bench.noted.runs == ["done", "done"]


def test_the_same_photos_teach_the_same_whatever_their_order(bench: Bench, dataset: str) -> None:
    other = bench.workspace.datasets.create("meadow")
    for label in ("dandelion", "grass"):
        bench.workspace.datasets.add_class(other, label)
    bench.fill(dataset)
    for label in ("grass", "dandelion"):
        bench.add(other, *reversed(range(6)), label=label)
    for each in (dataset, other):
        bench.worker.submit(each)
    models = []
    for each in (dataset, other):
        assert bench.ended(each).state == "done"
        version = bench.workspace.datasets.version_of(each)
        models.append((bench.workspace.files.models(each) / version / "model.onnx").read_bytes())
    assert models[0] == models[1]


class Held:
    """A teaching that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.order: list[str] = []

    def __call__(self, workspace: Workspace, dataset: str, stage: Stage) -> None:
        self.order.append(dataset)
        self.begun.set()
        while not self.go.wait(0.01):
            stage("learning", 1, 2)


def test_a_second_teaching_waits_and_a_third_of_the_same_is_refused(bench: Bench, dataset: str) -> None:
    held = Held()
    worker = bench.start(held)
    other = bench.workspace.datasets.create("other")
    worker.submit(dataset)
    assert held.begun.wait(30)
    worker.submit(other)
    assert bench.run(other).state == "waiting"
    wait_until(lambda: bench.run(dataset).state == "learning")
    for each in (dataset, other):
        assert worker.is_teaching(each)
        with pytest.raises(Conflict, match="is being taught already"):
            worker.submit(each)
    held.go.set()
    assert bench.ended(dataset).state == bench.ended(other).state == "done"
    assert held.order == [dataset, other]
    worker.stop()


def test_a_teaching_is_cancelled_while_it_waits_and_while_it_runs(bench: Bench, dataset: str) -> None:
    held = Held()
    worker = bench.start(held)
    other = bench.workspace.datasets.create("other")
    worker.submit(dataset)
    assert held.begun.wait(30)
    worker.submit(other)
    assert worker.cancel(other)
    assert bench.run(other).state == "cancelled"
    assert worker.cancel(dataset)
    assert bench.ended(dataset).state == "cancelled"
    wait_until(lambda: not worker.is_teaching(dataset))
    assert not worker.cancel(dataset)
    assert held.order == [dataset]
    held.go.set()
    worker.submit(dataset)
    assert bench.ended(dataset).state == "done"
    worker.stop()


def test_a_stop_in_the_middle_leaves_nothing_half_and_says_so(bench: Bench, dataset: str, tmp_path: Path) -> None:
    held = Held()
    worker = bench.start(held)
    other = bench.workspace.datasets.create("other")
    worker.submit(dataset)
    assert held.begun.wait(30)
    worker.submit(other)
    worker.stop()
    for each in (dataset, other):
        assert (bench.run(each).state, bench.run(each).detail) == ("failed", INTERRUPTED)
        assert bench.workspace.datasets.get(each, "").version is None
    with pytest.raises(Conflict, match="is stopping"):
        worker.submit(dataset)


def test_a_teaching_whose_process_was_killed_has_failed_at_the_next_start(workspace: Workspace, dataset: str) -> None:
    workspace.runs.note(dataset, Run("learning"))
    folder = workspace.database.file.parent
    workspace.close()
    again = Workspace(folder, Bounds())
    run = again.runs.of(dataset)
    assert run
    assert (run.state, run.detail) == ("failed", INTERRUPTED)
    again.close()


def test_features_go_on_where_a_stopped_worker_left_off(bench: Bench, dataset: str) -> None:
    bench.add(dataset, *range(12))
    bench.worker.wake()
    wait_until(lambda: bench.noted.photos >= 1, every_s=0.001)
    bench.worker.stop()
    assert bench.noted.photos == 12 - bench.waiting(dataset)
    bench.start().wake()
    wait_until(lambda: bench.waiting(dataset) == 0)
    assert bench.noted.photos == 12


def test_a_dataset_that_is_deleted_while_it_is_taught_leaves_nothing(bench: Bench, dataset: str) -> None:
    held = Held()
    worker = bench.start(held)
    worker.submit(dataset)
    assert held.begun.wait(30)
    bench.workspace.delete(dataset)
    worker.cancel(dataset)
    wait_until(lambda: not worker.is_teaching(dataset))
    assert bench.workspace.runs.of(dataset) is None
    assert not worker.trouble
    worker.stop()


def test_a_dataset_that_is_deleted_while_its_model_is_written_leaves_no_file(
    bench: Bench, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(dataset)
    noting = bench.workspace.runs.learned

    def learned(*known: Any) -> None:
        bench.workspace.delete(dataset)
        known_folder = bench.workspace.files.models(dataset)
        known_folder.mkdir(parents=True)
        (known_folder / "written-since").write_bytes(b"weights")
        noting(*known)

    monkeypatch.setattr(bench.workspace.runs, "learned", learned)
    bench.worker.submit(dataset)
    wait_until(lambda: bench.noted.runs)
    assert not bench.workspace.files.models(dataset).exists()
    assert not bench.worker.trouble


def test_features_of_an_earlier_backbone_go_once_those_of_this_one_are_there(bench: Bench, dataset: str) -> None:
    bench.add(dataset, 1, 2)
    sums = np.ones((2, 8), np.uint16)
    for one in bench.workspace.photos.page(dataset, "").photos:
        bench.workspace.features.keep(one.id, "earlier 2", sums, 0.5)
    bench.worker.wake()
    wait_until(lambda: not bench.waiting(dataset))
    wait_until(lambda: len(bench.workspace.features.unseen("earlier 2", 10)) == 2, seconds=20)
    assert bench.waiting(dataset) == 0


def test_features_wait_for_predictions_but_not_for_ever(
    bench: Bench, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add(dataset, *range(5))
    bench.busy = True
    monkeypatch.setattr(worker_module, "PATIENCE_S", 0.1)
    began = time.monotonic()
    bench.worker.wake()
    wait_until(lambda: bench.waiting(dataset) == 0)
    assert time.monotonic() - began > 0.5


def test_a_photo_whose_file_is_gone_or_broken_is_named_and_holds_up_no_other(bench: Bench, dataset: str) -> None:
    bench.fill(dataset)
    photos = bench.workspace.photos.page(dataset, "").photos
    bench.workspace.files.photo(dataset, photos[0].id).unlink()
    bench.workspace.files.photo(dataset, photos[1].id).write_bytes(b"damaged")
    bench.worker.wake()
    wait_until(lambda: bench.waiting(dataset) == 0)
    faults = [each.fault for each in bench.workspace.photos.page(dataset, "").photos]
    assert faults[0] == "its file is gone; send it again"
    assert "not a photo" in (faults[1] or "")
    assert set(faults[2:]) == {None}
    bench.worker.submit(dataset)
    assert bench.ended(dataset).state == "done"
    report = bench.workspace.datasets.get(dataset, "").report
    assert report
    assert report.photos == 10


def test_a_photo_that_the_disk_does_not_give_back_holds_up_no_other(bench: Bench, dataset: str) -> None:
    bench.add(dataset, 1, 2)
    broken, _ = bench.workspace.photos.page(dataset, "").photos
    file = bench.workspace.files.photo(dataset, broken.id)
    file.unlink()
    file.mkdir()  # it is there, and reading it is an error, as of a bad sector
    bench.worker.wake()
    wait_until(lambda: bench.waiting(dataset) == 0, seconds=20)
    faults = [each.fault for each in bench.workspace.photos.page(dataset, "").photos]
    assert faults == ["its file cannot be read (Is a directory); send it again", None]


def test_a_photo_that_lost_its_file_is_whole_again_once_it_is_sent_again(bench: Bench, dataset: str) -> None:
    bench.add(dataset, 1)
    (lost,) = bench.workspace.photos.page(dataset, "").photos
    bench.workspace.files.photo(dataset, lost.id).unlink()
    bench.worker.wake()
    wait_until(lambda: bench.workspace.photos.page(dataset, "").photos[0].fault)
    sent = with_thumbnail("1.jpg", photo("grass", 1), DEFAULT_LIMITS)
    bench.workspace.photos.add(dataset, sent, "grass", "upload")
    bench.worker.wake()
    wait_until(lambda: bench.workspace.photos.page(dataset, bench.extraction.about().key).photos[0].ready)


def test_a_backbone_that_cannot_be_used_is_a_trouble_and_fails_a_teaching(workspace: Workspace, dataset: str) -> None:
    def refuse() -> Backbone:
        raise BundleError("backbones/x: differs; install the package again")

    bench = Bench(workspace, Extraction(refuse, DEFAULT_LIMITS, threads=1))
    bench.add(dataset, 1)
    bench.worker.wake()
    wait_until(lambda: bench.worker.trouble)
    assert bench.worker.trouble == (
        "teaching: photos wait for their features: backbones/x: differs; install the package again"
    )
    bench.worker.submit(dataset)
    assert "install the package again" in (bench.ended(dataset).detail or "")
    bench.worker.stop()


def test_a_bug_is_logged_and_the_next_teaching_runs(
    bench: Bench, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    worker = bench.start(fail)
    for _ in range(2):
        worker.submit(dataset)
        ended = bench.ended(dataset)
        assert (ended.state, ended.detail) == ("failed", "the appliance failed; its log says why")
        wait_until(lambda: not worker.is_teaching(dataset))
    assert "a bug" in caplog.text
    worker.stop()


def test_an_idle_worker_gives_the_backbone_back(bench: Bench, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "IDLE_S", 0.05)
    bench.add(dataset, 1)
    bench.worker.wake()
    wait_until(lambda: bench.waiting(dataset) == 0)
    wait_until(lambda: not bench.extraction.is_open)
    bench.add(dataset, 2)
    bench.worker.wake()
    wait_until(lambda: bench.waiting(dataset) == 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ma prairie à moi", "ma-prairie-a-moi"),
        ("  Garden, gate! ", "garden-gate"),
        ("門", "taught"),
        ("x" * 150, "x" * 100),
        ("-.-", "taught"),
    ],
)
def test_a_model_is_named_by_its_dataset_as_far_as_a_name_may_be(name: str, expected: str) -> None:
    assert model_name(name) == expected
