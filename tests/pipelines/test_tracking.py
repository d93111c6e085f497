"""MLflow: what a registered model takes and gives, and where a person finds the runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from export.release.register import Registered, register, signature
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MODEL, Bundle
from tests.pipelines.servers import BIN, answers, process
from tests.support.appliances.servers import free_port
from tests.support.models.bundles import write_bundle
from tests.support.waiting import wait_until
from training import __main__ as training
from training.tracking.server import KIND_TAG, MODEL_TRAINING, Tracker, run_pages

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def tracker(uri: str) -> Tracker:
    return Tracker(uri, product="colours", resume="try again")


@pytest.fixture(scope="module")
def registered(tracker: Tracker, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    bundle = Bundle.open(write_bundle(tmp_path_factory.mktemp("bundles") / "v1"))
    return register(tracker, bundle, promoted=True, reason="the first", tags={})


@pytest.fixture(scope="module")
def yellow() -> np.ndarray[Any, Any]:
    """One photo, yellow: [1, 32, 32, 3]."""
    return np.full((1, 32, 32, 3), (250, 220, 20), np.uint8)


def test_a_registered_model_takes_and_gives_named_tensors_in_python(
    registered: Registered, yellow: np.ndarray[Any, Any]
):
    from mlflow import pyfunc

    loaded = pyfunc.load_model(f"models:/colours@{registered.alias}")
    named = loaded.predict({"pixels": yellow})
    assert named["probabilities"].shape == (1, 2)
    assert named["probabilities"][0, 0] > 0.9
    assert named["activation_map"].shape[:2] == (1, 2)
    about = loaded.metadata.signature
    assert [one.name for one in about.inputs.inputs] == ["pixels"]
    assert [one.name for one in about.outputs.inputs] == ["probabilities", "activation_map"]


def test_a_registered_model_is_served_by_mlflow(
    registered: Registered, uri: str, yellow: np.ndarray[Any, Any], tmp_path: Path
):
    port = free_port()
    command = [BIN / "mlflow", "models", "serve", "-m", f"models:/colours/{registered.version}", "-p", port]
    told = {"MLFLOW_TRACKING_URI": uri, "PATH": f"{BIN}:{os.environ['PATH']}", "ORT_DISABLE_TELEMETRY": "1"}
    with process([*command, "--env-manager", "local", "--workers", 1], tmp_path, "serve", **told):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/ping"), "MLflow's model server")

        def ask(pixels: Any) -> httpx.Response:
            return httpx.post(f"{url}/invocations", json={"inputs": {"pixels": pixels}}, timeout=60)

        answer = ask(yellow.tolist()).raise_for_status().json()["predictions"]
        assert set(answer) == {"probabilities", "activation_map"}
        assert answer["probabilities"][0][0] > 0.9
        # What docs/own-photos.md warns of: floats of 0..1 are cut to 0, and the answer is that to a black photo.
        cut = ask((yellow / 255.0).tolist()).json()["predictions"]["probabilities"]
        black = ask(np.zeros_like(yellow).tolist()).json()["predictions"]["probabilities"]
        assert cut == black


def test_the_signature_is_that_of_the_graph_that_is_exported():
    about = signature(onnx.load(default_bundle() / MODEL))
    assert [(one.name, one.shape) for one in about.inputs.inputs] == [("pixels", (-1, 128, 128, 3))]
    assert [(one.name, one.shape) for one in about.outputs.inputs] == [
        ("probabilities", (-1, 3)),
        ("activation_map", (-1, 3, 4, 4)),
    ]


def test_an_experiment_is_marked_as_model_training_and_its_runs_have_a_page(tracker: Tracker, uri: str):
    found = tracker.client.get_experiment(tracker.experiment_id)
    assert (found.name, found.tags[KIND_TAG]) == ("colours", MODEL_TRAINING)
    assert run_pages(uri)["colours"] == f"{uri}/#/experiments/{found.experiment_id}/runs"
    old = tracker.client.create_experiment("of-an-earlier-release")
    assert Tracker(uri, product="of-an-earlier-release", resume="try again").experiment_id == old
    assert tracker.client.get_experiment(old).tags[KIND_TAG] == MODEL_TRAINING


def test_runs_whose_ids_differ_in_punctuation_share_nothing(tracker: Tracker):
    names = ["manual__it's", "manual__it_s", 'manual__it"s', "manual__it:s", "manual__it s"]
    found = [tracker.run_named(name, name="20261129-0a0b0c0d").info.run_id for name in names]
    assert len(set(found)) == len(names)
    assert [tracker.run_named(name).info.run_id for name in names] == found
    assert {tracker.client.get_run(one).info.run_name for one in found} == {"20261129-0a0b0c0d"}


def test_a_training_without_a_tracking_server_says_how_to_track_it_later(
    dataset: Any, checkpoint_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "metrics.json").write_text("{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    command = ["track", "--training", checkpoint_file.parent, "--data", dataset.path, "--report", tmp_path]
    words = [str(word) for word in command]
    refused, said = (CliRunner().invoke(training.main, [*words, *optional]) for optional in ([], ["--optional"]))
    assert (refused.exit_code, said.exit_code) == (1, 0)
    for text in (refused.output, said.output):
        assert "http://127.0.0.1:9: does not answer" in text
        assert "nothing is lost: run `" in text
        assert "-m training track` when it is back" in text
