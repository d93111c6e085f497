"""Batch inference DAG: classify every photo below a prefix into one table; triggered by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag

from dags.settings import BATCH, params
from dags.shared_tasks import DEFAULTS, NETWORK, SHORT, here, step

DOC = """
Classifies every photo below a prefix and writes one table: a row a photo, with its label, its probabilities, or the
reason why it has none. The photos are cut into parts, a mapped task each, which Airflow's executor spreads over its
machines; all of them use the model version that was pinned at the beginning.

Each part is kept in the data store (`batch/<run>`) until the fifth batch after it: clear any task and let it run again.
"""


@dag(
    schedule=None,
    dagrun_timeout=timedelta(hours=24),
    default_args=DEFAULTS,
    params=params(BATCH),
    tags=["dandelion"],
    doc_md=DOC,
)
def dandelion_batch_predict() -> None:
    """Classify stored photos into one table."""

    @step(execution_timeout=SHORT)
    def settings(params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Decide every parameter, and where the parts and the table are kept."""
        from dags.settings import resolve
        from runtime.batch.plan import BATCHES
        from runtime.batch.rows import writer_for
        from training.pipeline.runs import Run

        chosen = resolve(params or {}, BATCH)
        places, run = here()
        name = Run(places, run).key
        chosen["out"] = chosen["out"] or f"{places.data}/predictions/{name}.parquet"
        writer_for(chosen["out"])
        return chosen | {"work": f"{places.data}/{BATCHES}/{name}"}

    @step(execution_timeout=SHORT, **NETWORK)
    def plan(settings: dict[str, Any]) -> list[int]:
        """List and partition the photos, pin the model version; returns the numbers of the parts."""
        from runtime.batch.plan import plan_batch, prune

        places, _ = here()
        chosen = {"version": settings["version"], "photos_per_part": settings["photos_per_task"]}
        made = plan_batch(settings["photos"], settings["work"], models=places.models, **chosen)
        prune(places.data)
        by = f"{made.version or 'the default model'}, labels {', '.join(made.labels)}"
        print(f"{made.photos} photos in {made.parts} parts, by {by}")
        return list(range(made.parts))

    @step(execution_timeout=timedelta(hours=6), map_index_template="part {{ task.op_kwargs['number'] }}", **NETWORK)
    def classify(number: int, settings: dict[str, Any]) -> dict[str, int]:
        """Classify one part, on any worker machine."""
        from runtime.batch.classify import classify

        cache = here()[0].work / "batch"
        return classify(settings["work"], number, cache=cache, threads=settings["threads"])._asdict()

    @step(execution_timeout=SHORT, **NETWORK)
    def merge(settings: dict[str, Any]) -> dict[str, Any]:
        """Merge the parts into one table."""
        from runtime.batch.merge import merge

        summary = merge(settings["work"], settings["out"])._asdict()
        print(f"made {summary['table']}: {summary['labels']}, {summary['errors']} without an answer")
        return summary

    chosen = settings()
    classify.partial(settings=chosen).expand(number=plan(chosen)) >> merge(chosen)


dandelion_batch_predict()
