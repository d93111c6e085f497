"""Rules, dashboards and metrics against each other, by a real Prometheus that scrapes the real runtime."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from tests.deploy.monitoring.prometheus import (
    DASHBOARDS,
    ROOT,
    Prometheus,
    needs_prometheus,
    panel_queries,
    prometheus,
    rule_expressions,
)
from tests.deploy.monitoring.statsd import exposition
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import UNKNOWN_FROM_HALF, write_bundle
from tests.support.photos import photo, violet
from tests.support.waiting import wait_until

# Metrics that the rules and dashboards may name although the runtime does not expose them yet. Keep it empty.
PROMISED: frozenset[str] = frozenset()


class Watched(NamedTuple):
    """A runtime with the unknown class that has answered some photos, and a Prometheus that scrapes it all the time."""

    prometheus: Prometheus
    exposed: set[str]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v1", unknown=UNKNOWN_FROM_HALF))) as served:
        address = served.url.removeprefix("http://")
        predict(served.url, 1)  # the slowest; and an increase needs a sample before it
        with prometheus(folder, {"dandelion": [address]}, ["dandelion.yml"]) as server:
            server.wait_for('up{job="dandelion"} == 1')
            predict(served.url, 8)
            server.wait_for("sum(dandelion_predictions_total) >= 9")
            server.wait_for("sum(rate(dandelion_predictions_total[5m])) > 0")
            server.wait_for("dandelion:request_seconds:p99_5m > 0")
            text = httpx.get(served.url + "/metrics").text
            yield Watched(server, set(re.findall(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)[ {]", text, re.MULTILINE)))


def predict(url: str, photos: int) -> None:
    for seed in range(photos):
        shown = photo("dandelion", seed), photo("grass", seed), violet()
        httpx.post(url + "/predict", files={"file": shown[seed % 3]}).raise_for_status()


def metric_names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:dandelion_|process_|airflow_)\w+", expression))


@needs_prometheus
@pytest.mark.parametrize(
    ("title", "expression"), panel_queries("dandelion-appliance"), ids=lambda value: str(value)[:60]
)
def test_every_panel_of_the_appliance_shows_data(title: str, expression: str, watched: Watched) -> None:
    watched.prometheus.wait_for(expression)


@needs_prometheus
@pytest.mark.parametrize(("name", "expression"), rule_expressions("dandelion.yml"), ids=lambda value: str(value)[:60])
def test_every_rule_of_the_appliance_evaluates_on_metrics_that_exist(
    name: str, expression: str, watched: Watched
) -> None:
    unknown = metric_names(expression) - watched.exposed - PROMISED
    assert not unknown, f"{name} names {unknown}, which the runtime does not expose"
    watched.prometheus.query(expression)


@needs_prometheus
def test_a_healthy_appliance_raises_no_alert_and_every_rule_is_in_order(watched: Watched) -> None:
    def in_order() -> bool:  # one scrape that took too long is seen as an appliance that is down, until the next
        groups = httpx.get(watched.prometheus.url + "/api/v1/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert [rule for rule in rules if rule["health"] != "ok" or rule.get("state", "inactive") != "inactive"] == []
        return bool(rules)

    wait_until(in_order, "every rule is in order")


@needs_prometheus
def test_nothing_is_promised_that_the_runtime_exposes(watched: Watched) -> None:
    assert not PROMISED & watched.exposed, "these have landed: take them off the list"


@needs_prometheus
def test_an_appliance_that_stops_is_seen_as_down(tmp_path: Path) -> None:
    with appliance(tmp_path) as served:
        address = served.url.removeprefix("http://")
        with prometheus(tmp_path, {"dandelion": [address]}, ["dandelion.yml"]) as server:
            server.wait_for('up{job="dandelion"} == 1')
            served.stop()
            server.wait_for('ALERTS{alertname="DandelionDown"}')


# What Airflow sends in a working week, in its own form (the names are those of its metrics_template.yaml).
AIRFLOW_SENDS = (
    "airflow.scheduler_heartbeat:1|c",
    "airflow.dag_processor_heartbeat:1|c",
    "airflow.triggerer_heartbeat:1|c",
    "airflow.dagbag_size:3|g",
    "airflow.dag_processing.import_errors:0|g",
    "airflow.dag_processing.total_parse_time:0.8|g",
    "airflow.dag_processing.last_duration,bundle_name=dags,file_name=data.py:400|ms",
    "airflow.dagrun.duration.success,dag_id=dandelion_data_pipeline,run_type=scheduled:200000|ms",
    "airflow.dagrun.duration.failed,dag_id=dandelion_retrain_pipeline,run_type=manual:100000|ms",
    "airflow.task.duration,dag_id=dandelion_data_pipeline,task_id=train:90000|ms",
    "airflow.ti.finish,dag_id=dandelion_data_pipeline,task_id=train,state=success:1|c",
    "airflow.executor.open_slots,executor=LocalExecutor:30|g",
    "airflow.executor.queued_tasks,executor=LocalExecutor:0|g",
    "airflow.executor.running_tasks,executor=LocalExecutor:2|g",
    "airflow.pool.open_slots,pool_name=default_pool:126|g",
    "airflow.pool.queued_slots,pool_name=default_pool:0|g",
    "airflow.pool.running_slots,pool_name=default_pool:2|g",
)


@needs_prometheus
def test_every_panel_and_rule_of_airflow_has_data_once_airflow_has_worked(tmp_path: Path) -> None:
    mapping = yaml.safe_load((ROOT / "deploy/statsd/mapping.yml").read_text())
    with (
        exposition(mapping, AIRFLOW_SENDS) as exporter,
        prometheus(tmp_path, {"airflow": [exporter.address]}, ["airflow.yml"]) as server,
    ):
        server.wait_for("sum(airflow_scheduler_heartbeat) > 0")
        exporter.send(AIRFLOW_SENDS)
        for _, expression in panel_queries("airflow-overview"):
            server.wait_for(expression)
        for name, expression in rule_expressions("airflow.yml"):
            unknown = metric_names(expression) - exporter.names()
            assert not unknown, f"{name} names {unknown}, which the mapping does not make"
            server.query(expression)
        assert "airflow_dag_processing_last_duration_count" not in exporter.names()  # names files: dropped


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@needs_prometheus
def test_the_configuration_and_every_rule_pass_promtool() -> None:
    done = run("promtool", "check", "config", "prometheus.yml", cwd=ROOT / "deploy/prometheus")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
@pytest.mark.parametrize("file", sorted((ROOT / "deploy/prometheus/tests").glob("*.yml")), ids=lambda file: file.stem)
def test_the_alerts_fire_when_they_should(file: Path) -> None:
    done = run("promtool", "test", "rules", file.name, cwd=file.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def boards() -> list[Any]:
    return [json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))]


@pytest.mark.parametrize("board", boards(), ids=lambda board: str(board["uid"]))
def test_a_dashboard_can_be_provisioned_by_file(board: dict[str, Any]) -> None:
    datasource = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    uid = datasource["datasources"][0]["uid"]
    assert board["id"] is None
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    used = {target["datasource"]["uid"] for panel in board["panels"] for target in panel.get("targets", [])}
    assert used == {uid}
    assert "${DS_" not in json.dumps(board)


def test_no_two_panels_of_a_dashboard_overlap() -> None:
    for board in boards():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken, f"{board['title']}: {panel['title']} lies on another panel"
            taken |= cells


def test_the_alerts_that_were_asked_for_exist() -> None:
    names = {name for file in ("dandelion.yml", "airflow.yml") for name, _ in rule_expressions(file)}
    assert names >= {
        "DandelionDown",
        "DandelionErrors",
        "DandelionSlow",
        "DandelionRejecting",
        "DandelionReloadRefused",
        "DandelionDrift",
        "AirflowNoSuccess",
        "AirflowSchedulerLost",
    }
