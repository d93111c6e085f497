"""Airflow's scheduler, on PostgreSQL, runs the DAGs against an S3 server, an MLflow server and a running appliance."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tests.pipelines.servers import Airflow, airflow, mlflow_server, needs_postgres, postgres
from tests.support.appliances.servers import appliance
from tests.support.photos import photo, write_photos
from tests.support.stores.contents import MANY_BYTES
from tests.support.stores.s3 import S3Server
from tests.support.waiting import wait_until
from tests.support.web.photo_sources import serving as serving_photos
from training.recipe import is_validated

pytestmark = [needs_postgres, pytest.mark.timeout(1800)]

DATA, RETRAIN, BATCH = "dandelion_data_pipeline", "dandelion_retrain_pipeline", "dandelion_batch_predict"
RECIPE = {
    "IMAGE_SIZE": "64",
    "EPOCHS": "2",
    "DANDELION_WEIGHTS": "none",
    "DANDELION_MIN_ACCURACY": "0",
    # What has learned for seconds may be worse than the shipped model, with which the first one is compared.
    "DANDELION_TOLERANCE": "1",
}
ENOUGH = 3


class Webhook(http.server.BaseHTTPRequestHandler):
    """What an operator points the failures at."""

    heard: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class World:
    airflow: Airflow
    mlflow: str
    source: str
    s3: S3Server
    environment: dict[str, str]
    appliance: str
    heard: list[dict[str, Any]]

    def serving(self) -> str:
        answer = httpx.post(self.appliance + "/predict", files={"file": photo()}).raise_for_status()
        return str(answer.json()["model"]["version"])


@pytest.fixture(scope="module")
def world(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("scheduler")
    source = write_photos(folder / "source", 24)
    names = sorted(file.relative_to(source).as_posix() for file in source.rglob("*.jpg"))
    listing = [{"path": name, "sha256": hashlib.sha256((source / name).read_bytes()).hexdigest()} for name in names]
    (source / "photos.json").write_text(json.dumps({"photos": listing}))
    artifacts = s3.new_bucket("scheduler-mlflow").uri
    heard: list[dict[str, Any]] = []
    with ExitStack() as stack:
        webhook = http.server.HTTPServer(("127.0.0.1", 0), type("Hook", (Webhook,), {"heard": heard}))
        stack.callback(webhook.server_close)
        stack.callback(webhook.shutdown)
        threading.Thread(target=webhook.serve_forever, daemon=True).start()
        database = stack.enter_context(postgres(folder))
        keys = {
            "AWS_ACCESS_KEY_ID": s3.environment["MINIO_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": s3.environment["MINIO_SECRET_KEY"],
            "MLFLOW_S3_ENDPOINT_URL": s3.endpoint,
        }
        mlflow = stack.enter_context(mlflow_server(folder, database("mlflow"), artifacts, **keys))
        stores = {"DANDELION_DATA": "s3://scheduler-data", "DANDELION_MODELS": "s3://scheduler-models"}
        environment = s3.environment | stores | {"MLFLOW_TRACKING_URI": mlflow}
        running = airflow(
            folder,
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database("airflow"),
            DANDELION_WORK=str(folder / "work"),
            DANDELION_WEBHOOK=f"http://127.0.0.1:{webhook.server_address[1]}",
            DANDELION_FEEDBACK_MIN=str(ENOUGH),
            DANDELION_FEEDBACK_EVERY_S="1",
            **environment,
            **RECIPE,
        )
        scheduler = stack.enter_context(running)
        follow = {"DANDELION_CACHE": str(folder / "cache"), "DANDELION_POLL_S": "0.5"}
        server = stack.enter_context(appliance(folder, **s3.environment, **stores, **follow))
        address = stack.enter_context(serving_photos(source))
        for dag in (DATA, RETRAIN, BATCH):
            wait_until(lambda dag=dag: scheduler.ask("GET", f"dags/{dag}").is_success, dag)  # type: ignore[misc]
            scheduler.unpause(dag)
        yield World(scheduler, mlflow, address, s3, environment, server.url, heard)


@pytest.fixture(scope="module")
def published(world: World) -> dict[str, Any]:
    """What the data pipeline published, from a web server's photos."""
    before = world.serving()
    assert world.airflow.trigger(DATA, "first", source=world.source).is_success
    state = world.airflow.finished(DATA, "first")
    assert state == "success", f"{world.airflow.tasks(DATA, 'first')}\n{world.airflow.log.read_text()[-4000:]}"
    result: dict[str, Any] = world.airflow.result(DATA, "first", "train_and_release.publish")
    assert result["version"] != before
    return result


def test_from_a_web_server_to_an_answer(world: World, published: dict[str, Any]):
    version = published["version"]
    wait_until(lambda: world.serving() == version, "the appliance serves it")
    assert published["pointed"]
    store = world.s3.open("s3://scheduler-data")
    assert len([entry for entry in store.list("raw/") if entry.key.endswith(".jpg")]) == 48
    models = world.s3.open("s3://scheduler-models")
    assert {"models/latest.json", "models/latest/best_model.pt", f"models/{version}/manifest.json"} <= {
        entry.key for entry in models.list()
    }


def test_the_tracking_server_knows_all_of_it(world: World, published: dict[str, Any]):
    from mlflow import MlflowClient

    client = MlflowClient(world.mlflow, world.mlflow)  # a tracker of another test may have set the default registry
    champion = client.get_model_version_by_alias("dandelion-classifier", "champion")
    assert champion.tags["dandelion.version"] == published["version"]
    assert champion.tags["airflow.run"] == "first"
    run = client.get_run(champion.run_id)
    assert client.get_experiment(run.info.experiment_id).name == "dandelion-classifier"
    assert run.info.status == "FINISHED"
    assert {"image_size", "epochs", "weights", "seed"} <= run.data.params.keys()
    assert run.data.tags["airflow.dag"] == DATA
    assert {"dataset.sha256", "git.commit", "airflow.logical_date"} <= run.data.tags.keys()
    epochs = int(RECIPE["EPOCHS"])
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == epochs
    validated = sum(is_validated(epoch, epochs) for epoch in range(1, epochs + 1))
    assert len(client.get_metric_history(run.info.run_id, "validation_f1")) == validated
    assert {"train_loss", "validation_accuracy", "validation_precision", "validation_recall"} <= run.data.metrics.keys()
    assert any(name.startswith("system/") for name in run.data.metrics)
    held = {file.path for folder in ("evaluation", "dataset", "source", "training")
            for file in client.list_artifacts(run.info.run_id, folder)}  # fmt: skip
    assert {"evaluation/report.html", "evaluation/confusion.png", "evaluation/reliability.png"} <= held
    assert {"dataset/manifest.json", "source/source.tar.gz", "training/model.pt"} <= held
    in_bucket = [entry.key for entry in world.s3.open("s3://scheduler-mlflow").list()]
    assert any(key.endswith("confusion.png") for key in in_bucket)
    assert any(key.endswith("model.onnx") for key in in_bucket)


def test_processed_data_starts_a_retraining_which_finds_nothing_new(world: World, published: dict[str, Any]):
    runs = wait_until(lambda: world.airflow.runs(RETRAIN), "a run that the asset started")
    assert [run["run_type"] for run in runs] == ["asset_triggered"]
    run = runs[0]["dag_run_id"]
    assert world.airflow.finished(RETRAIN, run) == "success"
    tasks = world.airflow.tasks(RETRAIN, run)
    assert tasks["anything_new[-1]"] == "success"
    assert tasks["train_and_release.train[-1]"] == "skipped"
    assert world.serving() == published["version"]


def test_accepted_corrections_start_a_retraining_that_learns_from_them(world: World, published: dict[str, Any]):
    before = {run["dag_run_id"] for run in world.airflow.runs(RETRAIN)}
    digests = []
    for seed in range(100, 100 + ENOUGH):
        sent = {"file": ("a.jpg", photo("grass", seed))}
        answer = httpx.post(
            world.appliance + "/feedback", files=sent, data={"label": "grass", "predicted": "dandelion"}
        )
        assert answer.json()["stored"] == "store"
        digests.append(answer.json()["id"])
    reviewed = subprocess.run(
        [sys.executable, "-m", "training", "feedback", "accept", *(digest[:16] for digest in digests)],
        env=os.environ | world.environment,
        capture_output=True,
        text=True,
    )
    assert reviewed.returncode == 0, reviewed.stderr

    def new_run() -> str | None:
        return next((run["dag_run_id"] for run in world.airflow.runs(RETRAIN) if run["dag_run_id"] not in before), None)

    run = wait_until(new_run, "a run that the corrections started")
    assert world.airflow.finished(RETRAIN, run) == "success"
    assert world.airflow.tasks(RETRAIN, run)["train_and_release.train[-1]"] == "success"
    assert world.airflow.result(RETRAIN, run, "sync")["feedback"] == ENOUGH
    released = world.airflow.result(RETRAIN, run, "train_and_release.publish")
    if released["pointed"]:
        wait_until(lambda: world.serving() == released["version"], "the appliance serves it")
    else:
        assert world.serving() == published["version"]


def test_a_prefix_of_photos_becomes_one_table(world: World, published: dict[str, Any], tmp_path: Path):
    store = world.s3.new_bucket("scheduler-photos")
    for seed in range(10):
        store.write(f"may/{seed}.jpg", photo("grass" if seed % 2 else "dandelion", seed))
    store.write("may/broken.jpg", photo()[:200])
    started = world.airflow.trigger(BATCH, "table", photos="s3://scheduler-photos/may", photos_per_task=4,
                                    version=published["version"])  # fmt: skip
    assert started.is_success
    assert world.airflow.finished(BATCH, "table") == "success"
    assert sum(name.startswith("classify[") for name in world.airflow.tasks(BATCH, "table")) == 3
    summary = world.airflow.result(BATCH, "table", "merge")
    assert (summary["photos"], summary["errors"]) == (11, 1)
    world.s3.open("s3://scheduler-data/predictions").download(
        "table.parquet", tmp_path / "table.parquet", max_bytes=MANY_BYTES
    )
    rows = pq.read_table(tmp_path / "table.parquet").to_pylist()
    assert [row["photo"] for row in rows if row["error"]] == ["broken.jpg"]
    assert {row["model_version"] for row in rows} == {published["version"]}


@pytest.mark.parametrize(
    ("dag", "conf", "because"),
    [
        (DATA, {"epochs": 0}, "0 is less than the minimum of 1"),
        (DATA, {"image_size": 100}, "100 is not a multiple of 32"),
        (RETRAIN, {"tolerance": 2}, "2 is greater than the maximum of 1"),
        (DATA, {"classes": "grass"}, "'grass' is not of type"),
        (BATCH, {"photos": "x", "out": "table.xlsx"}, "does not match"),
        (BATCH, {}, "photos: No value passed"),
    ],
)
def test_a_parameter_out_of_range_is_refused_before_anything_runs(
    world: World, dag: str, conf: dict[str, Any], because: str
):
    refused = world.airflow.trigger(dag, "never", **conf)
    assert refused.status_code == 400
    assert because in refused.json()["detail"]


def test_a_failure_is_told_to_the_webhook_in_one_sentence_and_not_tried_again(world: World, published: dict[str, Any]):
    serving = world.serving()
    assert world.airflow.trigger(DATA, "wrong", source=world.source, classes=["dandelion", "rose"]).is_success
    assert world.airflow.finished(DATA, "wrong") == "failed"
    told = wait_until(lambda: [one for one in world.heard if one["run"] == "wrong"], "the webhook")
    assert [(one["dag"], one["task"], one["try"]) for one in told] == [(DATA, "prepare", 1)]
    assert told[0]["error"] == "there is no class rose; the photos have dandelion, grass"
    assert world.serving() == serving


def test_a_variable_counts_and_a_wrong_one_is_named(world: World, published: dict[str, Any]):
    assert world.airflow.ask("POST", "variables", key="dandelion_epochs", value="many").is_success
    try:
        assert world.airflow.trigger(RETRAIN, "variable").is_success
        assert world.airflow.finished(RETRAIN, "variable") == "failed"
    finally:
        world.airflow.ask("DELETE", "variables/dandelion_epochs")
    told = wait_until(lambda: [one for one in world.heard if one["run"] == "variable"], "the webhook")
    assert told[0]["error"] == "the Airflow Variable dandelion_epochs: 'many' is no integer; mend it"
