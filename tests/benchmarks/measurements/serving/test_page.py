"""The browser is driven from a process of its own: Playwright allows one driver for each thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.load_generator.plans import Burst
from benchmarks.measurements.serving.footprint import Look
from benchmarks.measurements.serving.page import ALONE, CLICKED, WATCHED, PageResult, Turn, page_goals
from tests.support.models.bundles import write_bundle
from tests.support.photos import write_photos
from tests.support.waiting import PATIENT

RUN = (
    "import benchmarks.measurements.serving.page as page; page.SETTLE_S = page.RUN_IN_S = 0.1; page.PHONE = (400, 300)"
)
UPLOADS = 30


def run(first: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = f"{first}; from benchmarks.__main__ import main; main(prog_name='python -m benchmarks')"
    command = [sys.executable, "-c", program, "page", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | PATIENT | {"COLUMNS": "200"})


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("page")
    bundle, photos, out = write_bundle(folder / "v1"), write_photos(folder / "photos", 2), folder / "out"
    ran = run(RUN, "--bundle", bundle, "--photos", photos, "--out", out,
              "--starts", 2, "--uploads", UPLOADS, "--rounds", 2, "--seconds", 3)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return out, ran


@pytest.fixture
def result(measured: tuple[Path, subprocess.CompletedProcess[str]]) -> PageResult:
    return msgspec.json.decode((measured[0] / "page.json").read_bytes(), type=PageResult)


def test_the_first_page_comes_after_the_first_answer(result: PageResult):
    assert len(result.start_s) == len(result.first_page_s) == 2
    assert all(0 < start < first for start, first in zip(result.start_s, result.first_page_s, strict=True))


def test_memory_is_looked_at_as_photos_come_through_the_page(result: PageResult):
    assert result.memory[0].requests == 0
    assert result.memory[-1].requests == UPLOADS
    assert result.refused == 0
    assert all(50 < look.resident_mb < 1000 for look in result.memory)


def test_the_page_is_away_open_and_used_beside_the_same_clients(result: PageResult):
    assert list(result.turns) == [ALONE, WATCHED, CLICKED]
    for name, turns in result.turns.items():
        assert len(turns) == 2
        assert all(set(turn.burst.status) == {200} for turn in turns)
        assert bool(sum(len(turn.clicks_ms) for turn in turns)) == (name == CLICKED)
    assert all(ms > 0 for ms in result.clicks_ms)


def test_the_command_says_what_it_made_and_the_report_shows_it(
    measured: tuple[Path, subprocess.CompletedProcess[str]],
):
    out, ran = measured
    assert "start to first page, s" in ran.stdout
    assert ran.stdout.endswith(f"made {out / 'page.json'} and {out / 'page.png'}\n")
    assert (out / "page.png").stat().st_size > 10_000
    reported = CliRunner().invoke(main, ["report", "--results", str(out), "--sweep", "none"])
    assert "Page and API in one process" in reported.stdout


def turn(*latency_ms: float, clicks_ms: tuple[float, ...] = ()) -> Turn:
    count = len(latency_ms)
    burst = Burst(list(latency_ms), [0.0] * count, [200] * count, [0] * count, [False] * count, [], {}, 0.1, 1.0, 1.0)
    return Turn(burst, list(clicks_ms))


def test_the_figures_are_ratios_and_medians_of_one_run():
    turns = {ALONE: [turn(10, 10)] * 6, WATCHED: [turn(12, 12)] * 6, CLICKED: [turn(9, clicks_ms=(100, 150, 400))] * 6}
    goals = {goal.what: goal.estimate.value for goal in page_goals([2.0] * 6, [Look(1000, 9.0, 181.0)], 0, turns)}
    assert goals == {
        "start to first page, s": 2.0,
        "resident after 1000 photos through the page, MB": 181.0,
        "photos that the page could not get answered": 0,
        "a click beside 16 API clients, ms": 150,
        "the API's p99 with Monitor open over without": pytest.approx(1.2),
        "requests of the API's clients not answered with 200": 0,
    }


def test_without_playwright_it_is_refused_with_the_remedy():
    ran = run("import sys; sys.modules['playwright'] = None")
    assert ran.returncode == 1
    assert ran.stderr == ("Error: Playwright drives the browser and is not installed; run `pip install playwright`\n")


def test_a_browser_that_does_not_start_is_named(tmp_path: Path):
    ran = run("pass", "--chromium", tmp_path / "nowhere", "--out", tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"Error: {tmp_path / 'nowhere'}: is no Chromium that starts here: ")
    assert ran.stderr.count("\n") == 1
