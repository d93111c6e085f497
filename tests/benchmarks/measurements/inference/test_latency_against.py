"""`python -m benchmarks latency --against`: two checkouts' default bundles from JPEG bytes to label."""

from __future__ import annotations

from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.contenders.checkouts import OTHER, THIS
from benchmarks.contenders.servers import ROOT
from benchmarks.measurements.inference.latency_against import AT_MOST, LatencyAgainstResult
from benchmarks.statistics.samples import FEWEST
from tests.support.models.bundles import write_bundle
from tests.support.photos import write_photos


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["latency", *map(str, arguments)])


def test_both_default_bundles_are_measured_with_one_thread_and_with_all(tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "photos", 2), tmp_path / "out"
    ran = run("--against", ROOT, "--photos", photos, "--rounds", FEWEST, "--out", out, DANDELION_BUNDLE="")
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((out / "latency-against.json").read_bytes(), type=LatencyAgainstResult)
    assert [row.threads for row in result.rows] == sorted({1, result.machine.cores})
    for row, goal in zip(result.rows, result.goals, strict=True):
        both = result.samples_ms[row.threads]
        assert {name: len(samples) for name, samples in both.items()} == {THIS: FEWEST, OTHER: FEWEST}
        assert all(ms > 0.1 for samples in both.values() for ms in samples)
        assert row.ratio.value == goal.estimate.value
        assert goal.limit == AT_MOST
    assert "JPEG bytes to label, times the other's, 1 thread" in ran.stdout
    assert ran.stdout.endswith(f"made {out / 'latency-against.json'}\n")


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    ran = run("--against", tmp_path, "--out", tmp_path / "out", DANDELION_BUNDLE="")
    assert ran.exit_code == 1
    assert f"{tmp_path}: `import runtime` finds" in ran.stderr
    assert "name the folder of a checkout" in ran.stderr


def test_a_bundle_beside_another_checkout_is_refused(tmp_path: Path) -> None:
    ran = run("--against", ROOT, "--bundle", write_bundle(tmp_path / "b"))
    assert ran.exit_code == 2
    assert "--against takes the default bundle of each checkout: leave --bundle out" in ran.stderr
