from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import benchmarks.measurements.serving.footprint
from benchmarks.__main__ import main
from benchmarks.contenders.installed import closure, folder_bytes, our_megabytes
from benchmarks.measurements.serving.footprint import FootprintResult, Look, growth, mixed_requests
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo, write_photos
from tests.support.waiting import PATIENT


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("footprint")
    bundle, photos, out = write_bundle(folder / "v1"), write_photos(folder / "photos", 2), folder / "out"
    arguments = ["--bundle", bundle, "--photos", photos, "--out", out]
    arguments += ["--requests", 250, "--starts", 2, "--idle-s", 0.5]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarks.measurements.serving.footprint, "PHONE", (400, 300))
        return out, CliRunner(env=PATIENT).invoke(main, ["footprint", *map(str, arguments)])


@pytest.fixture
def result(measured: tuple[Path, Result]) -> FootprintResult:
    out, ran = measured
    assert ran.exit_code == 0, ran.output
    return msgspec.json.decode((out / "footprint.json").read_bytes(), type=FootprintResult)


def test_every_kind_of_request_gets_the_answer_that_is_due(result: FootprintResult):
    assert sum(sum(statuses.values()) for statuses in result.statuses.values()) == 250
    refused = {"cut JPEG": "422", "text": "415", "JSON": "415"}
    assert {kind: set(statuses) for kind, statuses in result.statuses.items()} == {
        kind: {refused.get(kind, "200")} for kind in result.statuses
    }
    unexpected = next(goal for goal in result.goals if "not the ones due" in goal.what)
    assert unexpected.estimate.value == 0


def test_memory_is_looked_at_as_the_requests_come_in(result: FootprintResult):
    assert [look.requests for look in result.memory] == [0, 100, 200, 250]
    assert [look.seconds for look in result.memory] == sorted(look.seconds for look in result.memory)
    assert all(20 < look.resident_mb < 1000 for look in result.memory)


def test_starts_idle_and_disk_are_measured(result: FootprintResult):
    assert len(result.starts_s) == 2
    assert min(result.starts_s) <= result.start_s.value <= max(result.starts_s)
    assert 0 <= result.idle_share_before < 1
    assert {"numpy", "pillow", "dandelion"} <= set(result.installed_mb)
    assert not {"torch", "pytest"} & set(result.installed_mb)


def test_the_command_says_what_it_made(measured: tuple[Path, Result]):
    out, ran = measured
    assert "start to ready, s" in ran.stdout
    assert ran.stdout.endswith(f"made {out / 'footprint.json'} and {out / 'footprint.png'}\n")
    assert (out / "footprint.png").stat().st_size > 10_000


def test_growth_counts_from_the_thousandth_request():
    looks = [Look(0, 0, 80.0), Look(900, 1, 90.0), Look(1000, 2, 100.0), Look(2000, 3, 104.0)]
    assert growth(looks) == pytest.approx(0.04)
    assert growth(looks[:3]) is None


def test_the_mix_holds_every_kind_and_spreads_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks.measurements.serving.footprint, "PHONE", (400, 300))
    mix = mixed_requests([photo()])
    kinds = [one.kind for one in mix]
    assert len(mix) > 40
    assert sum(one.refused for one in mix) == 3
    assert all(kinds[place : place + 6] != [kinds[place]] * 6 for place in range(len(kinds)))


def test_what_is_carried_is_what_the_package_needs_and_no_more():
    assert "litestar" in closure("dandelion")
    assert "msgspec" in closure("dandelion")
    assert "pytest" not in closure("dandelion")
    assert our_megabytes()["numpy"] > 10
    with pytest.raises(PackageNotFoundError):
        closure("no-such-package-here")


def test_compiled_python_is_no_weight(tmp_path: Path):
    (tmp_path / "a.py").write_bytes(b"x" * 10)
    (tmp_path / "a.pyc").write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to(tmp_path / "a.py")
    assert folder_bytes(tmp_path) == 10


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path):
    ran = CliRunner().invoke(main, ["footprint", "--bundle", str(tmp_path)])
    assert ran.exit_code == 1
    assert "point at a bundle folder" in ran.stderr
