from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.commands.peers import NAMES
from benchmarks.contenders.environments import NotInstalled, environment
from benchmarks.host.interference import Contention
from benchmarks.host.machine import this_machine
from benchmarks.peers.catalogue import HERE, OURS, PEERS, REPLACED, Peer, Setting, recipe
from benchmarks.peers.measure import Loaded, PeersResult, Row, Turn
from benchmarks.peers.table import reasons
from benchmarks.peers.verdicts import peer_goals
from benchmarks.reporting.cost import cost_table, per_million
from benchmarks.reporting.plots import best_settings
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from tests.support.models.bundles import write_bundle
from tests.support.photos import write_photos
from tests.support.waiting import PATIENT

ROOT = Path(__file__).parents[2] / "var" / "peers"  # kept from run to run, as for the command
INSTALLED = [peer.name for peer in PEERS if (ROOT / peer.name / "made.txt").exists()]


def run(*arguments: object) -> Result:
    return CliRunner(env=PATIENT).invoke(main, ["peers", *map(str, arguments)])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("peers")
    photos = write_photos(folder / "photos", 2)
    bundle = write_bundle(folder / "v1")
    quick = ["--rounds", 1, "--seconds", 0.3, "--clients", 1, "--clients", 16]
    return ["--bundle", bundle, "--photos", photos, "--environments", ROOT, *quick]


def measure(inputs: list[object], name: str, out: Path) -> PeersResult:
    ran = run(*inputs, "--peer", name, "--out", out)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.endswith(f"made {out / 'peers.json'} and {out / 'peers.png'}\n")
    return msgspec.json.decode((out / "peers.json").read_bytes(), type=PeersResult)


# FastAPI + onnxruntime is installed where it is not; the others are tried where `python -m benchmarks peers` has run.
@pytest.mark.parametrize("name", sorted({"fastapi-onnxruntime", *INSTALLED}))
def test_a_peer_serves_the_same_file_in_every_setting(inputs: list[object], name: str, tmp_path: Path):
    result = measure(inputs, name, tmp_path)
    assert reasons(result) == []
    ours = [row for row in result.rows if row.name == OURS]
    theirs = [row for row in result.rows if row.name == name]
    default = Bundle.open(default_bundle()).manifest.input.height
    assert [row.image_size for row in ours] == [32, default]  # the bundle that all serve, and the default one
    assert len({row.setting for row in theirs}) == len(theirs) >= 1
    for row in ours + theirs:
        (turn,) = row.turns
        assert set(turn.loaded) == {1, 16}
        assert all(set(loaded.statuses) == {"200"} for loaded in turn.loaded.values()), row.title
        assert turn.start_s > 0
        assert turn.resident_mb > 20
        assert row.installed_mb > 50
    assert all(row.versions["numpy"] for row in theirs)


def test_a_peer_that_is_not_installed_keeps_its_row_with_the_reason(inputs: list[object], tmp_path: Path):
    arguments = [part if part != ROOT else tmp_path / "empty" for part in inputs]
    ran = run(*arguments, "--peer", "mlserver", "--installed-only", "--clients", 1, "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((tmp_path / "peers.json").read_bytes(), type=PeersResult)
    assert reasons(result) == [
        "MLServer + onnxruntime : mlserver: not installed; leave out --installed-only to install it"
    ]
    assert "not installed" in ran.stdout


def test_a_peer_that_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    pins = tmp_path / "requirements.txt"
    pins.write_text("no-such-package-of-anyone==1.0\n")
    with pytest.raises(NotInstalled, match=r"^none: cannot be installed: .*no-such-package-of-anyone"):
        environment(pins, tmp_path / "environments" / "none")
    assert not (tmp_path / "environments" / "none" / "made.txt").exists()


def test_an_environment_is_made_again_when_its_pins_change(tmp_path: Path):
    pins = tmp_path / "requirements.txt"
    pins.write_text("")
    folder = environment(pins, tmp_path / "environments" / "bare")
    marker = folder / "marker"
    marker.touch()
    assert environment(pins, tmp_path / "environments" / "bare", install=False) == folder
    assert marker.exists()
    pins.write_text("# changed\n")
    with pytest.raises(NotInstalled, match="leave out --installed-only"):
        environment(pins, tmp_path / "environments" / "bare", install=False)
    environment(pins, tmp_path / "environments" / "bare")
    assert not marker.exists()


def test_the_command_knows_every_peer_and_each_pins_what_it_installs():
    assert set(NAMES) == {peer.name for peer in PEERS}
    for peer in PEERS:
        lines = (HERE / peer.name / "requirements.txt").read_text().splitlines()
        assert all("==" in line for line in lines if line.strip()), peer.name
        assert (HERE / peer.name / "server.py").exists()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_cores_are_shared_sensibly(peer: Peer):
    for cores in (1, 2, 8):
        for setting in peer.settings(cores):
            assert max(1, setting.workers) * setting.pool * setting.threads == cores


def test_a_peer_is_told_its_setting_and_model(tmp_path: Path):
    from runtime.bundle.manifest import Bundle

    bundle = Bundle.open(write_bundle(tmp_path / "v1"))
    made = recipe(PEERS[1], Setting(2, 1, 1), tmp_path / "environment", bundle)
    assert made.command[-2:] == ["--workers", "2"]
    assert made.environment["MODEL"] == str(bundle.model)
    assert (made.environment["SIZE"], made.environment["LABELS"]) == ("32", "dandelion,grass")


def test_bundle_and_size_exclude_each_other(tmp_path: Path):
    ran = run("--bundle", tmp_path, "--size", 64)
    assert ran.exit_code == 2
    assert "not both" in ran.stderr


def row(name: str, size: int, rate: float, p50: float, cpu: float, memory: float, start: float, setting: str = "s"):
    loaded = {1: Loaded(rate / 2, p50, p50 * 2, cpu, {"200": 9}), 16: Loaded(rate, p50 * 16, p50 * 20, cpu, {"200": 9})}
    return Row(name, name, setting, size, 100.0, [Turn(start, loaded, memory, 1)] * 6, {})


def outcome(*rows: Row) -> PeersResult:
    return PeersResult(this_machine(), Contention(0.0, 2, 2), "v1", 224, "photos", 6, 3.0, [1, 16], list(rows))


def test_ours_is_held_against_the_best_in_each_figure():
    result = outcome(
        row(OURS, 224, 150, 8, 9, 120, 1),
        row(OURS, 160, 300, 4, 5, 115, 1),
        row(REPLACED, 224, 20, 60, 90, 450, 4, "slow"),
        row(REPLACED, 224, 25, 50, 80, 500, 5, "fast"),
        row("quick", 224, 100, 9, 12, 200, 2),
        row("lean", 224, 90, 12, 10, 130, 3),
    )
    values = [(goal.what.rsplit("(", 1)[1].rstrip(")"), round(goal.estimate.value, 3)) for goal in peer_goals(result)]
    assert values == [
        ("replaced, fast", 12.0),
        ("replaced, fast", 0.08),
        ("replaced, slow", 0.256),
        ("replaced, slow", 0.25),
        ("quick, s", 1.5),
        ("quick, s", 0.889),
        ("lean, s", 0.9),
        ("lean, s", 0.923),
    ]


def test_without_the_other_side_there_is_no_verdict():
    assert peer_goals(outcome(row(OURS, 160, 300, 4, 5, 115, 1))) == []
    failed = Row("quick", "quick", "", 224, 0.0, [], {}, "it ended")
    assert peer_goals(outcome(row(OURS, 224, 300, 4, 5, 115, 1), failed)) == []
    assert reasons(outcome(failed)) == ["quick : it ended"]


def test_a_server_is_plotted_and_priced_in_its_best_setting():
    result = outcome(row(REPLACED, 224, 20, 60, 90, 450, 4, "slow"), row(REPLACED, 224, 25, 50, 80, 500, 5, "fast"))
    assert [best.setting for best in best_settings(result)] == ["fast"]
    assert per_million(25, 2, 0.04) == pytest.approx(1_000_000 / 25 / 3600 * 2 * 0.04)
    (cells,) = zip(*(column.cells for column in cost_table(result, 0.04, "USD").columns), strict=True)
    assert cells[2] == f"{per_million(25, result.machine.cores, 0.04):.2f}"
