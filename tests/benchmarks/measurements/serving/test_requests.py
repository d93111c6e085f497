from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import benchmarks.measurements.serving.requests
from benchmarks.__main__ import main
from benchmarks.contenders.checkouts import OTHER, THIS
from benchmarks.contenders.servers import ROOT
from benchmarks.load_generator.raw_requests import raw
from benchmarks.measurements.serving.requests import RequestsResult, Turn, request_goals, request_row
from tests.support.models.bundles import write_bundle


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["requests", *map(str, arguments)])


def test_two_checkouts_answer_in_turn_by_form_and_as_raw_bodies(tmp_path: Path):
    ignored = shutil.ignore_patterns("__pycache__")
    other = shutil.copytree(ROOT / "runtime", tmp_path / "other" / "runtime", ignore=ignored).parent
    out = tmp_path / "out"
    ran = run(
        "--against", other, "--bundle", write_bundle(tmp_path / "v1"), "--rounds", 1, "--seconds", 0.3, "--out", out
    )
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((out / "requests.json").read_bytes(), type=RequestsResult)
    assert [(row.body, row.clients) for row in result.rows] == [("raw", 1), ("raw", 16), ("form", 1), ("form", 16)]
    assert all(0.01 < row.cpu_ms.value < 10_000 and row.photos_per_s.value > 0 for row in result.rows)
    assert len(result.goals) == 5
    assert "32 px, form, 16 clients" in ran.stdout


def test_a_server_that_refuses_the_photos_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused = {"raw": raw("/predict", content_type="text/plain")}
    monkeypatch.setattr(benchmarks.measurements.serving.requests, "BODIES", refused)
    bundle = write_bundle(tmp_path / "v1")
    ran = run("--against", ROOT, "--bundle", bundle, "--rounds", 1, "--seconds", 0.2, "--out", tmp_path)
    assert ran.exit_code == 1
    assert " x 415; send one of the photos by hand" in ran.stderr


def test_cost_is_compared_by_the_medians_of_paired_rounds():
    turns = {THIS: [Turn(2.0, 130.0)] * 20, OTHER: [Turn(1.0, 100.0)] * 20}
    row = request_row(96, "form", 16, turns)
    assert (row.cpu_ratio.value, row.rate_ratio.value) == (2.0, 1.3)
    assert [(goal.limit, goal.rule) for goal in request_goals([row], 20)] == [(1.02, "at most"), (1.15, "at least")]
