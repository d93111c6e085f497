"""The whole stack of compose.yaml, started for real and lived through: see `stack` for what stands in for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.compose.stack import (
    STAYING,
    GuardedAirflow,
    Stack,
    build_stand_ins,
    copy_into,
    needs_stack,
    predict,
)
from tests.deploy.engine import PACKAGES, Engine
from tests.deploy.monitoring.prometheus import Prometheus, panel_queries, rule_expressions
from tests.support.photos import photo, write_photos
from tests.support.suite.system_packages import needs, needs_root
from tests.support.waiting import wait_until

pytestmark = [needs(*PACKAGES), needs_root, *needs_stack, pytest.mark.timeout(1800)]

DATA, BATCH = "dandelion_data_pipeline", "dandelion_batch_predict"
PHOTOS = "/opt/airflow/photos"
# What an operator changes in .env. A network of seconds, but one that INT8 agrees with: what is tried is the way.
SETTINGS = {
    "IMAGE_SIZE": "64",
    "EPOCHS": "4",
    "DANDELION_SOURCE": PHOTOS,
    "DANDELION_OTHER": "no",
    "DANDELION_WEIGHTS": "none",
    "DANDELION_MIN_ACCURACY": "0",
    "DANDELION_TOLERANCE": "1",  # the first model is compared with the shipped one
}
API, UI = 8000, 8501
PROMETHEUS = Prometheus("http://127.0.0.1:9090")
MLFLOW = "http://127.0.0.1:5000/api/2.0/mlflow"
CLIENT = (
    "import os, boto3; client = boto3.client('s3', region_name='us-east-1', "
    "endpoint_url='http://' + os.environ['MINIO_ENDPOINT'], aws_access_key_id=os.environ['MINIO_ACCESS_KEY'], "
    "aws_secret_access_key=os.environ['MINIO_SECRET_KEY']); "
)

LISTENING = {
    "s3": (9000, 9001),
    "postgres": (5432,),
    "mlflow": (5000,),
    "airflow-api-server": (8080,),
    "airflow-scheduler": (8974,),
    "statsd-exporter": (9102,),
    "prometheus": (9090,),
}
REACHED = """
import socket
for address in {addresses}:
    host, port = address.split()
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError:
        continue
    print(address)
"""


@pytest.fixture(scope="module")
def stack(
    engine: Engine, image: str, mlflow_image: str, airflow_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    built = {"IMAGE_APPLIANCE": image, "IMAGE_MLFLOW": mlflow_image, "IMAGE_AIRFLOW": airflow_image}
    stack = Stack(engine, folder, build_stand_ins(engine, folder / "stand-ins") | built, SETTINGS)
    try:
        stack.up()
        copy_into(stack, "airflow-scheduler", write_photos(folder / "photos", 24), PHOTOS)
        yield stack
    finally:
        stack.erase()


@pytest.fixture(scope="module")
def airflow(stack: Stack) -> GuardedAirflow:
    airflow = GuardedAirflow("http://127.0.0.1:8080", stack.settings["AIRFLOW_ADMIN_PASSWORD"])
    for dag in (DATA, BATCH):
        wait_until(lambda dag=dag: airflow.ask("GET", f"dags/{dag}").is_success, f"{dag} is known")  # type: ignore[misc]
        airflow.unpause(dag)
    return airflow


@pytest.fixture(scope="module")
def published(stack: Stack, airflow: GuardedAirflow) -> str:
    """The version that the pipeline has published, from photos in a folder."""
    for port in (API, UI):
        wait_until(ready(port), f"port {port} answers")
    kept = httpx.post(f"http://127.0.0.1:{API}/feedback", files={"file": photo(seed=99)}, data={"label": "grass"})
    assert kept.is_success, kept.text
    run(airflow, DATA, "first")
    return str(airflow.result(DATA, "first", "train_and_release.export")["version"])


def run(airflow: GuardedAirflow, dag: str, name: str, **conf: Any) -> None:
    assert airflow.trigger(dag, name, **conf).is_success
    assert airflow.finished(dag, name) == "success", airflow.tasks(dag, name)


def ready(port: int) -> Callable[[], bool]:
    return lambda: httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=10).is_success


def serves(port: int, version: str) -> Callable[[], bool]:
    return lambda: predict(port, photo())["model"]["version"] == version


def objects(stack: Stack, bucket: str) -> set[str]:
    listing = f"client.get_paginator('list_objects_v2').paginate(Bucket='{bucket}')"
    return set(
        stack.python_as_root(
            CLIENT + f"print(*[each['Key'] for page in {listing} for each in page['Contents']])"
        ).split()
    )


def champion() -> dict[str, Any]:
    """What MLflow has registered, with the run that it came of."""
    (model,) = httpx.get(f"{MLFLOW}/registered-models/search", timeout=30).json()["registered_models"]
    asked = {"name": model["name"], "alias": "champion"}
    version = httpx.get(f"{MLFLOW}/registered-models/alias", params=asked, timeout=30).json()["model_version"]
    run = httpx.get(f"{MLFLOW}/runs/get", params={"run_id": version["run_id"]}, timeout=30).json()["run"]
    return {"version": version["version"], "run": run["info"]["run_id"], "metrics": run["data"]["metrics"]}


def test_the_appliance_alone_answers_on_both_ports(engine: Engine, image: str, tmp_path: Path) -> None:
    """First, because the whole stack listens there, too."""
    stack = Stack(engine, tmp_path, {"IMAGE_APPLIANCE": image}, {}, profile="appliance")
    try:
        stack.up()
        for port in (API, UI):
            wait_until(ready(port), f"port {port} answers")
            assert predict(port, photo())["label"] in {"dandelion", "grass"}
            assert httpx.get(f"http://127.0.0.1:{port}/", timeout=30, follow_redirects=True).is_success
        assert len(stack.compose("ps", "--quiet").split()) == 1
    finally:
        stack.erase()


def test_everything_starts_in_order_and_says_that_it_is_healthy(stack: Stack) -> None:
    for service in STAYING:
        wait_until(lambda service=service: stack.healthy(service), f"{service} is healthy")  # type: ignore[misc]


def test_a_trained_model_is_published_served_by_both_and_seen_by_prometheus(stack: Stack, published: str) -> None:
    for port in (API, UI):
        wait_until(serves(port, published), f"port {port} serves {published}")
    counted = f'count(dandelion_model_info{{version="{published}"}} == 1) == 2'
    wait_until(lambda: PROMETHEUS.query(counted), "both instances tell Prometheus which model serves")
    wait_until(lambda: PROMETHEUS.query("sum(dandelion_predictions_total) >= 2"), "the predictions are counted")
    assert champion()["metrics"]


def test_the_api_reaches_of_the_other_services_the_store_alone(stack: Stack) -> None:
    addresses = {
        f"{network['IPAddress']} {port}": f"{service}:{port}"
        for service, ports in LISTENING.items()
        for network in stack.networks(service).values()
        for port in ports
    }
    reached = stack.python(REACHED.format(addresses=list(addresses)))
    assert {addresses[line] for line in reached.splitlines()} == {"s3:9000"}


def test_the_api_may_not_write_models_or_touch_what_the_pipeline_trains_on(stack: Stack, published: str) -> None:
    for what in (
        "put_object(Bucket='dandelion-models', Key='models/latest.json', Body=b'')",
        "put_object(Bucket='dandelion-data', Key='raw/grass/any.jpeg', Body=b'')",
        "delete_object(Bucket='dandelion-data', Key='raw/grass/any.jpeg')",
        "list_objects_v2(Bucket='mlflow-artifacts')",
    ):
        program = f"from botocore.exceptions import ClientError\ntry: client.{what}\nexcept ClientError as e: print(e)"
        assert "AccessDenied" in stack.python(CLIENT + "\n" + program)


def test_a_run_that_is_refused_fails_at_once_and_is_counted(stack: Stack, airflow: GuardedAirflow) -> None:
    assert airflow.trigger(DATA, "refused", classes=["thistle"]).is_success
    assert airflow.finished(DATA, "refused") == "failed"
    assert airflow.tasks(DATA, "refused")["prepare[-1]"] == "failed"
    wait_until(lambda: PROMETHEUS.query("airflow_dagrun_duration_failed_count > 0"), "the failure is counted")


@pytest.mark.parametrize(
    ("service", "wrong"),
    [
        ("s3-buckets", "MINIO_SECRET_KEY=wrong"),
        ("s3-buckets", "MINIO_ENDPOINT=nowhere:9000"),
        ("s3-users", "MINIO_SECRET_KEY=wrong"),
        ("s3-users", "MINIO_ENDPOINT=nowhere:9000"),
        ("mlflow", "MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://mlflow:wrong@postgres/mlflow"),
        ("airflow-init", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow:wrong@postgres/airflow"),
    ],
)
def test_a_wrong_secret_or_endpoint_is_told_in_one_line(service: str, wrong: str, stack: Stack) -> None:
    said = stack.refusal("run", "--rm", "--no-deps", "-T", "-e", wrong, service)
    assert len(said) == 1, said
    assert "check" in said[0]


def test_nothing_is_lost_when_all_of_it_goes_down_and_up(stack: Stack, airflow: GuardedAirflow, published: str) -> None:
    before = {bucket: objects(stack, bucket) for bucket in ("dandelion-data", "dandelion-models", "mlflow-artifacts")}
    assert all(before.values())
    assert any(name.startswith("feedback/") for name in before["dandelion-data"])
    registered, runs = champion(), {run["dag_run_id"]: run["state"] for run in airflow.runs(DATA)}
    stack.down()
    stack.up()
    for port in (API, UI):
        wait_until(serves(port, published), f"port {port} serves {published} again")
    assert predict(API, photo())["model"]["version"] == published
    assert {bucket: objects(stack, bucket) for bucket in before} == before
    assert champion() == registered
    assert {run["dag_run_id"]: run["state"] for run in airflow.runs(DATA)} == runs
    past = f'max_over_time(dandelion_model_info{{version="{published}"}}[1h] offset 30s)'
    wait_until(lambda: PROMETHEUS.query(past), "Prometheus remembers")


@pytest.mark.parametrize("service", STAYING)
def test_what_is_killed_comes_back_by_itself_and_photos_are_answered_meanwhile(
    service: str, stack: Stack, published: str
) -> None:
    for port in (API, UI):  # the case before may have killed one of them
        wait_until(serves(port, published), f"port {port} serves {published}")
    pid = stack.kill(service)
    for name, port in (("api", API), ("ui", UI)):
        if name != service:
            assert predict(port, photo())["model"]["version"] == published
    wait_until(lambda: stack.state(service)["Pid"] not in (0, pid), f"{service} is back")


def test_all_that_was_killed_works_again(stack: Stack, airflow: GuardedAirflow, published: str) -> None:
    for service in STAYING:
        wait_until(lambda service=service: stack.healthy(service), f"{service} is healthy")  # type: ignore[misc]
    for port in (API, UI):
        wait_until(serves(port, published), f"port {port} serves {published}")
    # A rate needs a count to grow while it is watched, and the exporter that was killed counts anew.
    grown = f'rate(airflow_dagrun_duration_success_count{{dag_id="{BATCH}"}}[1d]) > 0'
    for name in ("one", "two", "three", "four"):
        run(airflow, BATCH, name, photos=PHOTOS, out=f"/opt/airflow/{name}.csv")
        with suppress(AssertionError):
            wait_until(lambda: PROMETHEUS.query(grown), "Prometheus has seen the count grow", seconds=30)
            break
    assert champion()["metrics"]


def test_every_panel_and_rule_of_airflow_has_data_from_the_real_one(stack: Stack, airflow: GuardedAirflow) -> None:
    for title, expression in panel_queries("airflow-overview"):
        wait_until(lambda expression=expression: PROMETHEUS.query(expression), f"{title}: {expression}")  # type: ignore[misc]
    told = httpx.get(PROMETHEUS.url + "/api/v1/rules").json()["data"]["groups"]
    assert {rule["health"] for group in told for rule in group["rules"]} == {"ok"}
    assert {name for name, _ in rule_expressions("airflow.yml")} <= {
        rule["name"] for group in told for rule in group["rules"]
    }
