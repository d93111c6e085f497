from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import benchmarks.clients.catalogue
import benchmarks.measurements.serving.clients
from benchmarks.__main__ import main
from benchmarks.clients.cases import CASES
from benchmarks.clients.catalogue import PROGRAMS, PROXIES, REVERSE_PROXIES, FromPyPI, Installed, NotRun
from benchmarks.measurements.serving.clients import ClientsResult, Row, markdown_table
from tests.support.models.bundles import write_bundle


def run(folder: Path, *names: str) -> Result:
    chosen = [part for name in names for part in ("--client", name)]
    bundle = write_bundle(folder / "v1")
    return CliRunner().invoke(main, ["clients", "--bundle", str(bundle), "--out", str(folder), *chosen])


def read(folder: Path) -> list[Row]:
    return msgspec.json.decode((folder / "clients.json").read_bytes(), type=ClientsResult).rows


def test_clients_of_the_system_do_each_case_they_can(tmp_path: Path):
    ran = run(tmp_path, "curl", "urllib")
    assert ran.exit_code == 0, ran.output
    curl, urllib = read(tmp_path)
    assert [curl.results[case.name] for case in CASES] == ["yes"] * 5 + ["-"]
    assert [urllib.results[name] for name in ("raw", "form", "chunked", "large")] == ["yes", "-", "yes", "yes"]
    assert f"| curl | {curl.version} | yes | yes |" in ran.stdout


def test_a_wrong_answer_is_told_and_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wrong = [dataclasses.replace(case, status=201) if case.name == "raw" else case for case in CASES]
    monkeypatch.setattr(benchmarks.measurements.serving.clients, "CASES", wrong)
    ran = run(tmp_path, "urllib")
    assert ran.exit_code == 1
    assert read(tmp_path)[0].results["raw"].startswith('200: {"label"')


def test_a_client_that_is_not_installed_is_named_as_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    absent = Installed("absent", ["no-such-client"], ["no-such-client", "--version"])
    for module in (benchmarks.clients.catalogue, benchmarks.measurements.serving.clients):
        monkeypatch.setattr(module, "CLIENTS", (absent,))
    ran = run(tmp_path, "absent")
    assert "| absent | not run: no-such-client is not installed |" in ran.stdout


def test_a_client_from_pypi_that_needs_a_program_of_the_system_says_which(tmp_path: Path):
    client = FromPyPI("generator", "nothing==1", "generated_python.py", needs="no-such-java")
    with pytest.raises(NotRun, match="no-such-java is not installed"):
        client.find(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_client_that_nobody_knows_is_refused_with_those_there_are(tmp_path: Path):
    ran = run(tmp_path, "telnet")
    assert ran.exit_code == 1
    assert "--client telnet: is not known; choose from curl, wget" in ran.stderr


def test_each_file_of_a_program_or_proxy_is_used():
    catalogue = Path(benchmarks.clients.catalogue.__file__).read_text()
    assert all(file.name in catalogue for folder in (PROGRAMS, PROXIES) for file in folder.iterdir() if file.is_file())
    assert {proxy.name for proxy in REVERSE_PROXIES} == {"nginx", "Caddy", "HAProxy", "Apache"}


def test_the_table_holds_no_cell_that_would_break_it():
    row = Row("odd", "1.0", {"raw": "415: a | b"})
    assert "415: a / b" in markdown_table(ClientsResult(None, "v1", [row]))  # type: ignore[arg-type]
