"""The tasks of the pipelines: again and again, killed anywhere, with servers away."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from export import steps as exporting
from export.gates.quality_gates import GateError
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.serving.feedback.review import ReviewError, review
from runtime.store import StoreError, open_store
from tests.pipelines.steps import RECIPE, RUN, SPLIT, all_of, places_in, tasks
from tests.support.forks.forked import run
from tests.support.photos import photo, write_photos
from tests.support.stores.s3 import S3Server
from tests.support.suite.system_packages import needs_root
from training.data.dataset import DatasetError
from training.data.download import FetchError
from training.pipeline import steps
from training.storage.locations import Places
from training.tracking.server import TrackerAway

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("source"), 16)


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Each task once."""
    places = places_in(tmp_path_factory.mktemp("finished"))
    return Finished(places, all_of(places, source))


class Finished(NamedTuple):
    """A run of all tasks, and their results by name."""

    places: Places
    results: dict[str, dict[str, Any]]

    def handed_on(self, folder: Path, *, without: str = "") -> Places:
        """Its data store in another folder: nothing is trained again, and nothing exported `without` that tree."""
        shutil.copytree(self.places.data, folder / "data", ignore=shutil.ignore_patterns(without))
        return places_in(folder)


def run_all(*some: Callable[[], Any]) -> None:
    for one in some:
        one()


def contents(*folders: str) -> dict[str, str]:
    files = [file for folder in folders for file in Path(folder).rglob("*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def registry(places: Places) -> list[tuple[str, str]]:
    from mlflow import MlflowClient

    found = MlflowClient(places.tracking).search_model_versions("name = 'dandelion-classifier'")
    return [(one.tags["dandelion.version"], one.run_id) for one in found]


def runs(places: Places) -> int:
    from mlflow import MlflowClient

    client = MlflowClient(places.tracking)
    return len(client.search_runs([client.get_experiment_by_name("dandelion-classifier").experiment_id]))


def test_any_task_again_gives_the_same_state(source: Path, finished: Finished):
    places, first = finished
    state = contents(places.data, places.models)
    again = all_of(places, source)
    assert contents(places.data, places.models) == state
    for name in ("prepare", "train", "evaluate", "track", "export", "register"):
        same = first[name].keys() - {"reason"}
        assert {key: again[name][key] for key in same} == {key: first[name][key] for key in same}
    assert (len(registry(places)), runs(places)) == (1, 1)


def test_tasks_on_machines_without_a_common_disk_hand_on_through_the_store(source: Path, tmp_path: Path):
    places = places_in(tmp_path)
    for number, name in enumerate(tasks(places, source)):
        elsewhere = places_in(tmp_path, work=tmp_path / f"machine-{number}")
        result = tasks(elsewhere, source)[name]()
    assert result["alias"] == "champion"


@pytest.mark.timeout(1800)
def test_killed_in_the_middle_of_any_task_it_goes_on(source: Path, tmp_path: Path):
    places = places_in(tmp_path)
    names = list(tasks(places, source))
    survived = []
    for number, name in enumerate(names):
        before = names[max(number - 1, 0)]
        done = run("tests.pipelines.steps", tmp_path, source, before, name, "--die")
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr
        if done.returncode == 0:
            survived.append(name)
        assert f"{name} " not in done.stdout or name in survived
        latest = Catalogue(places.models_store).latest()
        if latest:
            Cache(tmp_path / "cache").pull(Catalogue(places.models_store), latest.version)
    assert survived in ([], ["make_places"]), "these wrote so little that they were not killed"
    finished = all_of(places, source)
    latest = Catalogue(places.models_store).latest()
    assert latest
    assert latest.version == finished["publish"]["version"]
    assert registry(places) == [(latest.version, finished["track"]["mlflow_run"])]
    assert runs(places) == 1
    fresh = all_of(places_in(tmp_path / "fresh"), source)
    assert fresh["prepare"]["dataset"] == finished["prepare"]["dataset"]
    assert fresh["train"]["accuracy"] == finished["train"]["accuracy"]


def test_a_tracking_server_that_is_away_loses_nothing(source: Path, finished: Finished, tmp_path: Path):
    finished.handed_on(tmp_path, without="bundle")
    away = places_in(tmp_path, tracking="http://127.0.0.1:9")
    chain = tasks(away, source)
    for name in list(chain)[:7]:
        chain[name]()
    with pytest.raises(TrackerAway, match=r"127.0.0.1:9.*run the task `track` again") as refused:
        chain["track"]()
    assert refused.value.retryable
    back = places_in(tmp_path)
    trained = Path(back.data) / "runs"
    before = contents(str(trained))
    result = {name: task() for name, task in tasks(back, source).items()}
    assert result["register"]["alias"] == "champion"
    assert before.items() <= contents(str(trained)).items(), "nothing was trained again"


def test_retraining_takes_accepted_corrections_and_only_those(finished: Finished, tmp_path: Path):
    places, first = finished.handed_on(tmp_path), finished.results
    shutil.copytree(finished.places.models, places.models)
    recipe = {name: RECIPE[name] for name in ("image_size", "epochs", "weights", "seed")}
    again = steps.sync_processed(places, "retrain-1", **SPLIT)
    assert again["dataset"] == first["prepare"]["dataset"]
    for size, version in (
        (RECIPE["image_size"], first["publish"]["version"]),
        ("auto", first["publish"]["version"]),
        (96, None),
    ):
        asked = recipe | {"image_size": size}
        assert steps.trained_already(places, dataset=again["dataset"], **asked) == version
    digests = [correct(places, photo("grass", seed), "grass") for seed in (500, 501, 502)]
    assert steps.waiting_feedback(places) == {"accepted": 0, "new": 0}
    review(places.data_store, digests[0][:12], "accepted")
    review(places.data_store, digests[1][:12], "rejected")
    assert steps.waiting_feedback(places) == {"accepted": 1, "new": 1}
    more = steps.sync_processed(places, "retrain-2", **SPLIT)
    assert (more["feedback"], more["photos"]) == (1, {"dandelion": 16, "grass": 17})
    assert steps.trained_already(places, dataset=more["dataset"], **recipe) is None
    assert steps.waiting_feedback(places) == {"accepted": 1, "new": 0}


def correct(places: Places, data: bytes, label: str) -> str:
    from runtime.serving.feedback import Feedback
    from runtime.serving.monitoring.metrics import Metrics

    feedback = Feedback(places.data_store, places.work / "spool", Metrics(), retry_s=60)
    kept = feedback.keep(feedback.reserve(data, label, client="127.0.0.1"), data, "JPEG")
    feedback.send()
    return kept.id


def test_a_correction_to_a_label_that_does_not_exist_is_named(source: Path, tmp_path: Path):
    places = places_in(tmp_path)
    chain = tasks(places, source)
    for name in ("make_places", "fetch", "store_raw"):
        chain[name]()
    digest = correct(places, photo("grass", 9), "daisy")
    with pytest.raises(ReviewError, match="no correction begin"):
        review(places.data_store, "ffff", "accepted")
    review(places.data_store, digest, "accepted")
    with pytest.raises(ReviewError, match="accepted as 'daisy', which is no class of this dataset"):
        chain["prepare"]()
    review(places.data_store, digest, "rejected")
    assert chain["prepare"]()["feedback"] == 0


def test_a_model_below_the_floor_is_not_exported(source: Path, finished: Finished, tmp_path: Path):
    places = finished.handed_on(tmp_path, without="bundle")
    chain = tasks(places, source)
    for name in list(chain)[:7]:
        chain[name]()
    dataset = chain["prepare"]()["dataset"]
    with pytest.raises(GateError, match="accuracy"):
        exporting.export(places, RUN, dataset=dataset, mlflow_run=None, min_accuracy=1.01)
    assert not list(places.models_store.list())
    assert not list((Path(places.data) / "runs").glob("*/bundle"))


@pytest.mark.parametrize(
    ("labels", "per_class", "message"),
    [(("grass",), 12, "grass"), (("dandelion", "grass"), 1, "photos")],
)
def test_too_little_to_learn_from_is_refused(tmp_path: Path, labels: tuple[str, ...], per_class: int, message: str):
    places = places_in(tmp_path)
    chain = tasks(places, write_photos(tmp_path / "source", per_class, labels))
    chain["make_places"]()
    with pytest.raises((FetchError, DatasetError), match=message):
        run_all(chain["fetch"], chain["store_raw"], chain["prepare"])


def test_ten_photos_make_a_dataset_and_no_less_than_the_split_needs(tmp_path: Path):
    places = places_in(tmp_path)
    chain = tasks(places, write_photos(tmp_path / "source", 5))
    for name in ("make_places", "fetch", "store_raw"):
        chain[name]()
    assert chain["prepare"]()["photos"] == {"dandelion": 5, "grass": 5}
    with pytest.raises(DatasetError):
        steps.prepare(places, RUN, labels=None, validation=0.01, seed=1)


def test_the_store_holds_what_the_source_has_however_often_its_tasks_run(source: Path, tmp_path: Path):
    places = places_in(tmp_path)
    chain = tasks(places, source)
    for name in ("make_places", "fetch", "store_raw"):
        chain[name]()
    gone, *_ = sorted((source / "grass").iterdir())
    gone.unlink()
    for name in ("fetch", "store_raw", "store_raw"):
        done = chain[name]()
    stored = [entry.key for entry in places.data_store.list("raw/") if not entry.key.endswith("index.json")]
    assert len(stored) == done["photos"] == sum(1 for file in source.rglob("*.jpg"))
    assert f"raw/grass/{gone.name}" not in stored


def test_what_a_killed_upload_left_goes_and_what_was_lost_comes_back(source: Path, tmp_path: Path):
    places = places_in(tmp_path)
    chain = tasks(places, source)
    for name in ("make_places", "fetch", "store_raw"):
        chain[name]()
    before = contents(places.data)
    store, index = places.data_store, steps.read_index(places.data_store, steps.RAW)
    assert index
    store.write("raw/grass/of-a-killed-upload.jpg", b"never indexed")
    store.delete(f"raw/{next(iter(index.files))}")
    assert chain["store_raw"]()["uploaded"] == 1
    assert contents(places.data) == before


def test_two_products_share_the_stores_and_nothing_else(source: Path, tmp_path: Path):
    places = places_in(tmp_path)
    first = tasks(places, source)
    for name in ("make_places", "fetch", "store_raw"):
        first[name]()
    dataset = first["store_processed"]()["dataset"]
    before = contents(places.data)
    birds = write_photos(tmp_path / "birds", 6, ("robin", "wren"))
    assert steps.product_of(places, ["wren", "robin"], asked=None) == "photo-classifier"
    other = tasks(places.of("birds"), birds, "birds-1")
    for name in ("fetch", "store_raw"):
        other[name]()
    stored = other["store_processed"]()
    assert (stored["product"], stored["prefix"]) == ("birds", "products/birds/processed")
    assert before.items() <= contents(places.data).items()
    for name in ("fetch", "store_raw", "store_processed"):
        first[name]()
    assert steps.sync_processed(places, "retrain", **SPLIT)["dataset"] == dataset
    assert steps.sync_processed(places.of("birds"), "retrain-birds", **SPLIT)["photos"] == {"robin": 6, "wren": 6}
    raw = {entry.key for entry in places.data_store.list("products/birds/raw/")}
    assert len(raw) == 13, "twelve photos and their index"


def test_a_run_whose_data_was_replaced_says_so(source: Path, tmp_path: Path):
    places = places_in(tmp_path)
    chain = tasks(places, source)
    for name in ("make_places", "fetch", "store_raw"):
        chain[name]()
    dataset = chain["store_processed"]()["dataset"]
    other = tasks(places, write_photos(tmp_path / "other", 7), "another-run")
    for name in ("fetch", "store_raw", "store_processed"):
        other[name]()
    elsewhere = places_in(tmp_path, work=tmp_path / "elsewhere")
    with pytest.raises(steps.StaleRun, match="start a new run"):
        steps.train(elsewhere, RUN, dataset=dataset, **RECIPE)


def test_wrong_keys_and_missing_buckets_are_named(s3: S3Server, source: Path, tmp_path: Path, monkeypatch: Any):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    places = places_in(tmp_path, data="s3://steps-wrong-data", models="s3://steps-wrong-models")
    chain = tasks(places, source)
    chain["fetch"]()
    with pytest.raises(StoreError, match="create it"):
        chain["store_raw"]()
    monkeypatch.setenv("MINIO_SECRET_KEY", "wrong")
    with pytest.raises(StoreError, match="check MINIO_ACCESS_KEY and MINIO_SECRET_KEY"):
        chain["make_places"]()
    monkeypatch.setenv("MINIO_ACCESS_KEY", "nobody")
    with pytest.raises(StoreError, match="check MINIO_ACCESS_KEY"):
        chain["make_places"]()


def test_a_store_that_goes_away_in_mid_upload_leaves_the_tree_of_before(
    mortal_s3: S3Server, tmp_path: Path, monkeypatch: Any
):
    for name, value in mortal_s3.environment.items():
        monkeypatch.setenv(name, value)
    places = places_in(tmp_path, data="s3://mortal-data", models="s3://mortal-models")
    small = tasks(places, write_photos(tmp_path / "small", 4))
    for name in ("make_places", "fetch", "store_raw"):
        small[name]()
    before = steps.read_index(places.data_store, steps.RAW)
    large = tasks(places, write_photos(tmp_path / "large", 300), "large")
    large["fetch"]()
    killer = threading.Timer(0.3, mortal_s3.kill)
    killer.start()
    forget = partial(places.data_store.delete, f"{steps.RAW}/index.json")  # so that it has to travel again
    with pytest.raises(StoreError) as refused:
        run_all(*[large["store_raw"], forget] * 100)
    assert refused.value.retryable
    killer.join()
    mortal_s3.start()
    index = steps.read_index(places.data_store, steps.RAW)
    assert index is None or index == before or len(index.files) == 600
    assert large["store_raw"]()["photos"] == 600
    index = steps.read_index(places.data_store, steps.RAW)
    assert index
    assert len(index.files) == 600


@needs_root
@pytest.mark.parametrize("full", ["work", "data"])
def test_a_full_disk_is_said_in_one_line(full: str, tmp_path: Path):
    source = write_photos(tmp_path / "source", 60)
    (tmp_path / "all" / full).mkdir(parents=True)
    mount = f"mount -t tmpfs -o size=128k tmpfs {tmp_path / 'all' / full}"
    program = f"{sys.executable} -m tests.pipelines.steps {tmp_path / 'all'} {source} fetch store_raw"
    command = ["unshare", "--mount", "sh", "-c", f"{mount} && exec {program}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "No space left on device" in last, done.stderr
    assert last.split(":")[0].endswith(("FetchError", "StoreError"))


def test_a_store_on_a_folder_needs_no_server(source: Path, tmp_path: Path):
    assert open_store(str(tmp_path)).create() is False
    assert steps.prepare_places(places_in(tmp_path))["made"] == [str(tmp_path / "data"), str(tmp_path / "models")]
    assert steps.prepare_places(places_in(tmp_path))["made"] == []
