"""Retraining DAG: monthly, and when processed data or enough accepted corrections arrive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, chain, dag, task

from dags.feedback import FEEDBACK
from dags.settings import RECIPE, RELEASE, params
from dags.shared_tasks import DEFAULTS, NETWORK, NEVER, PROCESSED, SHORT, conclude, here, step, train_and_release

DOC = """
Takes the processed photos of a product (the one that serves, unless `product` names another) from the data store, adds
the corrections that were accepted since (`python -m training feedback`), and trains and publishes as the data pipeline
does. If a version of the same photos and the same recipe is published already, the rest is skipped: an asset event
without new data costs nothing.

It starts on the first of a month, when the asset `dandelion_processed` is updated, and when `dandelion_feedback` sees
enough accepted corrections (`DANDELION_FEEDBACK_MIN`, else 20).
"""


@dag(
    schedule=AssetOrTimeSchedule(
        assets=PROCESSED | FEEDBACK, timetable=CronTriggerTimetable("0 4 1 * *", timezone="UTC", run_immediately=NEVER)
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    default_args=DEFAULTS,
    params=params(RECIPE, RELEASE),
    tags=["dandelion"],
    doc_md=DOC,
)
def dandelion_retrain_pipeline() -> None:
    """From the data store to a published model."""

    @step(execution_timeout=SHORT)
    def settings(params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Resolve every parameter: given, Variable, environment, default."""
        from dags.settings import resolve

        return resolve(params or {}, RECIPE, RELEASE)

    @step(execution_timeout=SHORT, **NETWORK)
    def sync(settings: dict[str, Any]) -> dict[str, Any]:
        """Download processed photos and accepted corrections, and prepare them."""
        from training.pipeline import steps

        split = {"validation": settings["validation"], "seed": settings["seed"]}
        places, run = here()
        product = steps.product_of(places, asked=settings["product"])
        return steps.sync_processed(places.of(product), run, **split)

    @task.short_circuit(execution_timeout=SHORT, **NETWORK)
    def anything_new(settings: dict[str, Any], prepared: dict[str, Any]) -> bool:
        """Skip the rest if a version of the same photos and recipe is published."""
        from training.pipeline import steps

        recipe = {name: settings[name] for name in ("image_size", "epochs", "weights", "seed")}
        version = steps.trained_already(here(prepared)[0], dataset=prepared["dataset"], **recipe)
        print(f"{version} came of these photos and this recipe: nothing to do" if version else "there is something new")
        return version is None

    chosen = settings()
    prepared = sync(chosen)
    chain(prepared, anything_new(chosen, prepared), train_and_release(chosen, prepared), conclude(chosen))


dandelion_retrain_pipeline()
