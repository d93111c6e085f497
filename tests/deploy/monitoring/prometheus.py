"""A real Prometheus, scraping fast, with the rules of this repository."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.suite.system_packages import needs
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy/prometheus/rules"
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
START_S = 120

needs_prometheus = needs("prometheus")


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = httpx.get(self.url + "/api/v1/query", params={"query": expression}, timeout=20).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def wait_for(self, expression: str) -> None:
        wait_until(lambda: self.query(expression), expression, seconds=START_S)


@contextmanager
def prometheus(folder: Path, jobs: dict[str, Sequence[str]], rules: Sequence[str]) -> Iterator[Prometheus]:
    """Scrape `jobs` (name: addresses) every second and evaluate the `rules` files as often."""
    config = folder / "prometheus.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(write_fast(RULES / name, folder)) for name in rules],
                "scrape_configs": [
                    {"job_name": name, "static_configs": [{"targets": list(targets)}]} for name, targets in jobs.items()
                ],
            }
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = folder / "prometheus.log"
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stderr=stream, stdout=stream)
    try:
        wait_until_ready(f"http://{address}", process, log)
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def write_fast(rules: Path, folder: Path) -> Path:
    """The same rules, with every group evaluated at the speed of the test."""
    content = yaml.safe_load(rules.read_text())
    for group in content["groups"]:
        group.pop("interval", None)
    copy = folder / rules.name
    copy.write_text(yaml.safe_dump(content))
    return copy


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url + "/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"Prometheus did not start:\n{log.read_text()}")


def panel_queries(dashboard: str) -> list[tuple[str, str]]:
    """(panel's title, expression) of every query, with Grafana's own variables replaced as Grafana would."""
    board = json.loads((DASHBOARDS / f"{dashboard}.json").read_text())
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "10s"))
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]


def rule_expressions(name: str) -> list[tuple[str, str]]:
    """(name, expression) of every alert and recording rule in one file."""
    content = yaml.safe_load((RULES / name).read_text())
    return [
        (rule.get("alert") or rule["record"], rule["expr"]) for group in content["groups"] for rule in group["rules"]
    ]
