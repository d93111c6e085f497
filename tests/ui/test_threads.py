from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.host.cores import inference_cores
from runtime.host.cpu import available_cpus
from tests.support.models.bundles import write_bundle
from ui.appliance.latency_test import Report
from ui.appliance.targets import LOCAL, Targets
from ui.appliance.threads import ByThreads, by_threads, counts
from ui.pages.benchmark import PANELS
from ui.view.language import Texts


@pytest.mark.parametrize(
    ("cores", "usual", "expected"),
    [
        (1, 1, [1]),
        (2, 2, [1, 2]),
        (4, 4, [1, 2, 4]),
        (6, 6, [1, 2, 4, 6]),
        (8, 4, [1, 2, 4, 8]),
        (16, 12, [1, 2, 4, 8, 12, 16]),
    ],
)
def test_threads_are_doubled_up_to_all_cores_beside_the_usual_number(cores: int, usual: int, expected: list[int]):
    assert counts(cores, usual) == expected


def timed(folder: Path) -> list[ByThreads]:
    """In a thread: the browser of other tests keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(by_threads(folder))).result()


def test_a_bundle_is_timed_in_a_process_of_its_own(tmp_path: Path):
    found = timed(write_bundle(tmp_path / "v1"))
    assert [each.threads for each in found] == counts(available_cpus(), inference_cores().threads)
    assert all(each.infer_ms > 0 for each in found)


def test_a_folder_that_holds_no_bundle_gives_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert timed(tmp_path) == []


def test_a_remote_appliance_is_not_timed_by_threads_and_that_is_said():
    targets = Targets(["http://meadow:8000"], None, load=lambda: pytest.fail("nobody asked for it"))
    assert targets.folder("http://meadow:8000") is None
    assert targets.folder(LOCAL) is None
    report = Report("now", "model", "v1", [], [], [])
    assert "Measured where the model serves" in PANELS["threads"](report, Texts("en"))


def test_one_thread_and_several_are_named():
    report = Report("now", "model", "v1", [], [], [ByThreads(1, 12.5), ByThreads(2, 7.25)])
    drawn = PANELS["threads"](report, Texts("fr"))
    assert "1 thread<" in drawn
    assert "2 threads<" in drawn
    assert "12,5 ms" in drawn
