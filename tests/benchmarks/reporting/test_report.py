from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.measurements.serving.advise import Target
from benchmarks.peers.catalogue import OURS, REPLACED
from runtime.bundle.manifest import to_json
from tests.benchmarks.measurements.instructions.test_figures import counts_of_rows
from tests.benchmarks.measurements.serving.test_advise import advice, option
from tests.benchmarks.test_peers import outcome, row

SWEEP = ("--sweep", "none")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    compared = outcome(row(OURS, 224, 150, 8, 9, 120, 1), row(REPLACED, 224, 25, 50, 80, 500, 5))
    (tmp_path / "peers.json").write_bytes(to_json(compared))
    (tmp_path / "advise.json").write_bytes(to_json(advice(Target(20, None), option(160, 1, 8, 100))))
    return tmp_path


def test_the_page_holds_what_is_there_and_no_path_of_this_machine(results: Path):
    ran = run("--results", results, "--price", 0.1, "--currency", "EUR", *SWEEP)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == (
        "  Side by side with other servers\n  Advice for this host\n"
        f"made {results / 'report.html'}; open it in a browser\n"
    )
    page = (results / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "A million photos, at 0.1 EUR for a core and hour" in page
    assert "160 px, 1 thread, INT8" in page
    assert str(results) not in page
    assert "bundles/v160" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_instruction_counts_have_a_section_that_says_what_they_are(results: Path):
    (results / "instructions.json").write_bytes(to_json(counts_of_rows()))
    assert "Instructions on emulated processors" in run("--results", results, *SWEEP).stdout
    page = (results / "report.html").read_text()
    assert "<td>0.500</td>" in page
    assert "Counts, not times, and of no board. Photos: drawn discs; qemu-x86_64 version 7.2.22" in page


def test_a_result_without_a_section_of_its_own_is_shown_too(results: Path):
    other = {
        "bodies": 10_000,
        "machine": {"cpu": "unknown"},
        "answers": {"bomb": {"413": 5}, "cut": {"422": 7}},
        "rows": [{"kind": "<b>", "ms": 1.5}],
        "samples": [1, 2, 3],
    }
    (results / "robustness.json").write_text(json.dumps(other))
    assert run("--results", results, *SWEEP).exit_code == 0
    page = (results / "report.html").read_text()
    assert "<td>10000</td>" in page
    assert "<td>bomb</td><td>5</td><td></td>" in page
    assert "&lt;b&gt;" in page


def test_the_front_of_a_sweep_is_shown_with_its_plot(results: Path):
    folder = results / "sweep"
    folder.mkdir()
    (folder / "sweep.json").write_text("{}")
    (folder / "front.png").write_bytes(b"\x89PNG")
    ran = run("--results", results, "--sweep", folder / "sweep.json")
    assert "Accuracy and latency by input size and precision" in ran.stdout


def test_nothing_to_report_is_refused(tmp_path: Path):
    ran = run("--results", tmp_path, *SWEEP)
    assert ran.exit_code == 1
    assert "holds no results; run `" in ran.stderr
    assert "python -m benchmarks latency` or `make bench` first" in ran.stderr


@pytest.mark.parametrize("name", ["peers.json", "something.json"])
def test_a_result_that_cannot_be_read_is_named(results: Path, name: str):
    (results / name).write_text('{"machine": ')
    ran = run("--results", results, *SWEEP)
    assert ran.exit_code == 1
    assert ran.stderr.startswith(f"Error: {results / name}: ")
