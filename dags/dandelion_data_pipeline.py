"""Training pipeline DAG: from photos to a published model, weekly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, chain, dag

from dags.settings import RECIPE, RELEASE, SOURCE, params
from dags.shared_tasks import DEFAULTS, NETWORK, NEVER, PROCESSED, SHORT, conclude, here, step, train_and_release

DOC = """
Fetches photos, stores them, prepares a dataset, stores that, trains, and publishes a model that is not worse than the
one that serves. Each step is idempotent: clear any task and let it run again.

* **Photos** come from `source`; without one they are those that the product `product` was taught from on an appliance,
  if it was, else the public ones of dandelions and grass.

* **Where**: the stores are `DANDELION_DATA` and `DANDELION_MODELS`, the tracking server is `MLFLOW_TRACKING_URI`.
* **Labels** are the names of the class folders at the source.
* **Product**: by its labels, or as the parameter `product` says; each has its own photos in the store.
* **What came of a run**: the log of `conclude` says what serves and why, and the commands that change it; the XCom of
  `register` has the version, its alias, the reason and the page in MLflow.
* **Failures** are posted to `DANDELION_WEBHOOK`, or the Variable `dandelion_webhook`.
"""


def _source(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in ("source", "listing", "other", "workers", "product")}


def _split(settings: dict[str, Any]) -> dict[str, Any]:
    return {"labels": settings["classes"], "validation": settings["validation"], "seed": settings["seed"]}


@dag(
    schedule=CronTriggerTimetable("0 3 * * 1", timezone="UTC", run_immediately=NEVER),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    default_args=DEFAULTS,
    params=params(SOURCE, RECIPE, RELEASE),
    tags=["dandelion"],
    doc_md=DOC,
)
def dandelion_data_pipeline() -> None:
    """Photos to a published model."""

    @step(execution_timeout=SHORT)
    def settings(params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Resolve every parameter: given, Variable, environment, default."""
        from dags.settings import resolve

        return resolve(params or {}, SOURCE, RECIPE, RELEASE)

    @step(execution_timeout=SHORT, **NETWORK)
    def make_places() -> dict[str, Any]:
        """Create the buckets or folders that do not exist yet."""
        from training.pipeline import steps

        return steps.prepare_places(here()[0])

    @step(execution_timeout=timedelta(hours=2), **NETWORK)
    def fetch(settings: dict[str, Any]) -> dict[str, Any]:
        """Download the photos, or resume the download; decide which product they are for."""
        from training.pipeline import steps

        places, run = here()
        fetched = steps.fetch(places, run, **_source(settings))
        labels = settings["classes"] or fetched["photos"]
        return fetched | {"product": steps.product_of(places, labels, asked=settings["product"])}

    @step(execution_timeout=timedelta(hours=2), **NETWORK)
    def store_raw(settings: dict[str, Any], fetched: dict[str, Any]) -> dict[str, Any]:
        """Upload the photos to the data store, with a SHA-256 each."""
        from training.pipeline import steps

        return steps.store_raw(*here(fetched), **_source(settings))

    @step(execution_timeout=SHORT, **NETWORK)
    def prepare(settings: dict[str, Any], fetched: dict[str, Any]) -> dict[str, Any]:
        """Verify, find duplicates, add accepted corrections, split."""
        from training.pipeline import steps

        return steps.prepare(*here(fetched), **_split(settings))

    @step(execution_timeout=SHORT, **NETWORK)
    def store_processed(settings: dict[str, Any], fetched: dict[str, Any]) -> dict[str, Any]:
        """Upload the dataset to the data store."""
        from training.pipeline import steps

        return steps.store_processed(*here(fetched), **_split(settings))

    @step(outlets=[PROCESSED])
    def announce(stored: dict[str, Any], **context: Any) -> dict[str, Any]:
        """Update the asset of processed data. Last: a retraining that it triggers finds this run's model published."""
        context["outlet_events"][PROCESSED].extra = announced = {name: stored[name] for name in ("dataset", "product")}
        return announced

    chosen = settings()
    fetched = fetch(chosen)
    raw, prepared, stored = (task(chosen, fetched) for task in (store_raw, prepare, store_processed))
    released = train_and_release(chosen, stored)
    chain(chosen, make_places(), fetched, raw, prepared, stored, released, announce(stored), conclude(chosen))


dandelion_data_pipeline()
