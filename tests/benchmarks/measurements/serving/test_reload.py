from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import benchmarks.measurements.serving.reload
from benchmarks.__main__ import main
from benchmarks.contenders.checkouts import OTHER, THIS, Checkout, require_own_code
from benchmarks.contenders.servers import ROOT
from benchmarks.contenders.two_versions import publish_two
from benchmarks.measurements.serving.reload import FIGURES, ReloadResult, Turn, reload_goals, reload_rows
from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.registry.catalogue import Catalogue
from tests.support.models.bundles import write_bundle

FIELDS = [figure.field for figure in FIGURES]


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["reload", *map(str, arguments)])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.measurements.serving.reload, "SETTLE_S", 0.1)
    monkeypatch.setattr(benchmarks.measurements.serving.reload, "WARM_UP", 0)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Another checkout, as far as the appliance needs one."""
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(ROOT / "runtime", tmp_path / "other" / "runtime", ignore=ignored).parent


def test_two_checkouts_are_measured_in_every_figure_and_compared(copy: Path, tmp_path: Path):
    bundle, out = write_bundle(tmp_path / "v1"), tmp_path / "out"
    ran = run("--against", copy, "--rounds", 2, "--bundle", bundle, "--out", out)
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((out / "reload.json").read_bytes(), type=ReloadResult)
    assert {name: len(turns) for name, turns in result.turns.items()} == {THIS: 2, OTHER: 2}
    for turn in (turn for turns in result.turns.values() for turn in turns):
        assert all(0.001 < getattr(turn, field) < 120 for field in FIELDS if field.endswith("_s"))
        assert all(20 < getattr(turn, field) < 1000 for field in FIELDS if field.endswith("_mb"))
    assert len(result.goals) == len(FIGURES)
    assert "Hot reload (bundle v1, 32 px, 2 rounds)" in ran.stdout
    assert "swap, version to be fetched, times the other's" in ran.stdout
    assert ran.stdout.endswith(f"made {out / 'reload.json'}\n")


def test_alone_there_are_figures_but_no_goals_whatever_the_shell_says_of_models(tmp_path: Path):
    ran = run("--rounds", 1, "--out", tmp_path, DANDELION_MODELS="nowhere://", DANDELION_BUNDLE=str(tmp_path))
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((tmp_path / "reload.json").read_bytes(), type=ReloadResult)
    assert list(result.turns) == [THIS]
    assert result.goals == []
    assert "start to ready, version in the cache" in ran.stdout
    assert "the other" not in ran.stdout


def test_a_folder_that_is_no_checkout_is_refused_in_one_line(tmp_path: Path):
    ran = run("--against", tmp_path, "--out", tmp_path / "out")
    assert ran.exit_code == 1
    assert ran.stderr.startswith(f"Error: {tmp_path}: `import runtime` finds {ROOT}/runtime/__init__.py from there;")
    assert ran.stderr.count("\n") == 1


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    ran = run("--against", tmp_path / "nowhere")
    assert ran.exit_code == 2
    assert f"'{tmp_path / 'nowhere'}' does not exist" in ran.stderr


def test_another_checkout_runs_its_own_code(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # would keep the working directory out of the way of imports
    require_own_code(Checkout(OTHER, copy, None).alone(tmp_path))
    (copy / "runtime" / "__init__.py").unlink()
    with pytest.raises(Refusal, match="name the folder of a checkout"):
        require_own_code(Checkout(OTHER, copy, None).alone(tmp_path))


def test_a_swap_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks.measurements.serving.reload, "SWAP_S", 0.0)
    ran = run("--rounds", 1, "--bundle", write_bundle(tmp_path / "v1"), "--out", tmp_path)
    assert ran.exit_code == 1
    assert f"{THIS}: serves reload-a and not reload-b after 0 s" in ran.stderr


def test_another_default_bundle_is_not_measured_as_if_it_were_the_same(copy: Path, tmp_path: Path):
    shutil.rmtree(next((copy / "runtime" / "bundle" / "default").glob("*/manifest.json")).parent)
    write_bundle(copy / "runtime" / "bundle" / "default" / "another")
    ran = run("--against", copy, "--rounds", 1, "--out", tmp_path)
    assert ran.exit_code == 1
    assert f"{OTHER}: serves another and not " in ran.stderr


def test_the_two_versions_are_whole_and_either_can_be_pointed_at(tmp_path: Path):
    versions = publish_two(Bundle.open(write_bundle(tmp_path / "v1")), tmp_path)
    catalogue = Catalogue(versions.store)
    assert catalogue.versions() == ["reload-a", "reload-b"]
    for pointer in (versions.second, versions.first):
        versions.point_at(pointer)
        assert catalogue.latest() == pointer


def test_times_are_compared_by_ratio_and_memory_by_difference():
    ours, theirs = [dict.fromkeys(FIELDS, 3.0)] * 6, [dict.fromkeys(FIELDS, 2.0)] * 6
    rows = reload_rows({THIS: [Turn(**turn) for turn in ours], OTHER: [Turn(**turn) for turn in theirs]})
    assert {row.unit: row.change.value for row in rows if row.change} == {"s": 1.5, "MB": 1.0}
    goals = reload_goals(rows, 6)
    assert {goal.limit for goal in goals if goal.what.startswith("start")} == {1.05}
    assert {goal.limit for goal in goals if goal.what.startswith("swap")} == {1.5}
    assert {goal.limit for goal in goals if goal.what.startswith("resident")} == {3}
