"""The DAG files: what they import, what they order, what they refuse."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from training.recipe import DEFAULT_IMAGE_SIZE

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("dandelion_*.py"))
DATA = ["settings", "make_places", "fetch", "store_raw", "prepare", "store_processed"]
RELEASE = ["train", "evaluate", "track", "export", "gate", "publish", "register"]

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_reading_a_dag_does_no_work(file: Path, tmp_path: Path):
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import airflow.sdk
before = set(sys.modules)
import dags.{file.stem}
loaded = set(sys.modules) - before
print(sorted({{name if name.startswith("training.") else name.split(".")[0] for name in loaded}}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    heavy = {
        "torch",
        "torchvision",
        "mlflow",
        "onnx",
        "onnxruntime",
        "boto3",
        "sklearn",
        "matplotlib",
        "numpy",
    }
    assert {name for name in loaded if name.startswith("training.")} <= {"training.recipe"}
    assert not loaded & heavy
    assert not list(tmp_path.iterdir())


def order(name: str) -> list[str]:
    from airflow.dag_processing.dagbag import BundleDagBag

    bag = BundleDagBag(str(ROOT / "dags"), bundle_path=ROOT, bundle_name="here")
    assert bag.import_errors == {}
    return [task.task_id for task in bag.dags[name].topological_sort()]


def test_the_data_pipeline_is_one_chain():
    tasks = order("dandelion_data_pipeline")
    assert tasks == [*DATA, *(f"train_and_release.{name}" for name in RELEASE), "announce", "conclude"]


def test_retraining_asks_first_whether_there_is_anything_new():
    tasks = order("dandelion_retrain_pipeline")
    assert tasks == ["settings", "sync", "anything_new", *(f"train_and_release.{name}" for name in RELEASE), "conclude"]


def test_every_task_has_an_end_and_those_on_the_network_try_again():
    from airflow.dag_processing.dagbag import BundleDagBag

    bag = BundleDagBag(str(ROOT / "dags"), bundle_path=ROOT, bundle_name="here")
    local = {"settings", "train", "evaluate", "export", "announce"}
    assert len(bag.dags) == 3
    for dag in bag.dags.values():
        assert dag.dagrun_timeout
        for task in dag.tasks:
            name = task.task_id.split(".")[-1]
            assert task.execution_timeout or name == "announce"
            assert bool(task.retries) is (name not in local), task.task_id
            assert task.on_failure_callback
            assert task.doc_md or task.python_callable.__doc__


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (DEFAULT_IMAGE_SIZE, None)),
        ({"IMAGE_SIZE": "96", "DANDELION_SOURCE": "/photos"}, (96, "/photos")),
        ({"IMAGE_SIZE": "auto"}, ("auto", None)),
    ],
)
def test_what_is_not_given_comes_from_the_environment(environment: dict[str, str], expected: tuple[int, str | None],
                                                      monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    settings = resolved(monkeypatch, {}, **environment, DANDELION_OTHER="/kinds")
    assert settings["other"] == "/kinds"
    assert (settings["image_size"], settings["source"]) == expected
    for given, size in ((128, 128), ("160", 160), ("auto", "auto")):
        assert resolved(monkeypatch, {"image_size": given}, **environment)["image_size"] == size


@pytest.mark.parametrize(
    ("name", "value", "because"),
    [
        ("IMAGE_SIZE", "100", "IMAGE_SIZE: 100 is not a multiple of 32; mend it"),
        ("IMAGE_SIZE", "large", "IMAGE_SIZE: 'large' does not match '^(auto|[0-9]+)$'; mend it"),
        ("EPOCHS", "five", "EPOCHS: 'five' is no integer; mend it"),
        ("DANDELION_TOLERANCE", "3", "DANDELION_TOLERANCE: 3 is greater than the maximum of 1; mend it"),
    ],
)
def test_a_wrong_environment_is_named(name: str, value: str, because: str, monkeypatch: pytest.MonkeyPatch):
    from dags.settings import BadSetting

    with pytest.raises(BadSetting) as refused:
        resolved(monkeypatch, {}, **{name: value})
    assert str(refused.value) == because


def test_a_name_that_no_product_can_have_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch):
    from training.product import ProductError

    assert resolved(monkeypatch, {}, DANDELION_PRODUCT="birds")["product"] == "birds"
    with pytest.raises(ProductError, match="'my birds' cannot be the name of a product"):
        resolved(monkeypatch, {"product": "my birds"})


def resolved(monkeypatch: pytest.MonkeyPatch, given: dict[str, object], **environment: str) -> dict[str, object]:
    from airflow.sdk import Variable

    from dags.settings import RECIPE, RELEASE, SOURCE, resolve

    monkeypatch.setattr(Variable, "get", lambda _, default=None: default)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return resolve(given, SOURCE, RECIPE, RELEASE)
