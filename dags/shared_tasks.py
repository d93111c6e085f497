"""Shared tasks of the DAGs: assets, retries with exponential backoff, and the training task group."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from airflow.sdk import Asset, chain, get_current_context, task, task_group

from dags.alerts import say_done, say_failed, say_retry, tell_webhook

PROCESSED = Asset("dandelion_processed", group="dandelion")
MODEL = Asset("dandelion_model", group="dandelion")

DEFAULTS: dict[str, Any] = {
    "owner": "dandelion",
    "on_failure_callback": [say_failed, tell_webhook],
    "on_retry_callback": say_retry,
    "on_success_callback": say_done,
}
# For tasks that use the network: four attempts over about ten minutes, with exponential backoff.
NETWORK: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}
# A schedule that is switched on waits for its next time. False would not do: Airflow 3.3 takes it for a tenth of the
# interval, and begins at once where the last time is no longer ago.
NEVER = timedelta(0)
SHORT, LONG = timedelta(minutes=20), timedelta(hours=6)


def step(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A task that retries only errors that may pass; `options` are those of Airflow's `task`."""

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            from airflow.sdk.exceptions import AirflowFailException

            from runtime.errors import Refusal

            try:
                return function(*arguments, **named)
            except Refusal as error:
                if error.retryable:
                    raise
                raise AirflowFailException(str(error)) from error

        return task(**options)(run)

    return decorate


def here(known: dict[str, Any] | None = None) -> tuple[Any, str]:
    """In a task: the storage locations, and the id of this run; for the product of an earlier task's result `known`."""
    from training.storage.locations import Places

    places = Places.from_environment()
    return places.of(known["product"]) if known else places, get_current_context()["run_id"]


def tags() -> dict[str, str]:
    """In a task: tags that name this Airflow run, for the tracking server."""
    context = get_current_context()
    return {
        "airflow.dag": context["dag"].dag_id,
        "airflow.run": context["run_id"],
        "airflow.logical_date": str(context.get("logical_date") or ""),
    }


@step(execution_timeout=LONG)
def train(settings: dict[str, Any], prepared: dict[str, Any]) -> dict[str, Any]:
    """Fine-tune a ResNet18; with the input size `auto`, compare sizes first."""
    from training.pipeline import steps

    recipe = {name: settings[name] for name in ("image_size", "epochs", "weights", "seed")}
    return steps.train(*here(prepared), dataset=prepared["dataset"], **recipe)


@step(execution_timeout=SHORT)
def evaluate(prepared: dict[str, Any]) -> dict[str, Any]:
    """Write the validation report."""
    from training.pipeline import steps

    return steps.evaluate(*here(prepared), dataset=prepared["dataset"])


@step(execution_timeout=SHORT, **NETWORK)
def track(prepared: dict[str, Any]) -> dict[str, Any]:
    """Log the training run to MLflow."""
    from training.pipeline import steps

    return steps.track(*here(prepared), dataset=prepared["dataset"], tags=tags())


@step(execution_timeout=SHORT)
def export(settings: dict[str, Any], prepared: dict[str, Any], tracked: dict[str, Any]) -> dict[str, Any]:
    """Export an INT8 bundle that passes its quality gates."""
    from export import steps

    return steps.export(
        *here(prepared),
        dataset=prepared["dataset"],
        mlflow_run=tracked["mlflow_run"],
        min_accuracy=settings["min_accuracy"],
    )


@step(execution_timeout=SHORT, **NETWORK)
def gate(settings: dict[str, Any], prepared: dict[str, Any]) -> dict[str, Any]:
    """Champion-challenger gate: compare with the active model, photo by photo."""
    from export import steps

    flags = {name: settings[name] for name in ("tolerance", "replace")}
    return steps.gate(*here(prepared), dataset=prepared["dataset"], asked=settings["product"], **flags)


@step(execution_timeout=SHORT, **NETWORK)
def publish(verdict: dict[str, Any]) -> dict[str, Any]:
    """Publish the bundle to the model store; appliances hot-reload it if it was promoted."""
    from export import steps

    return steps.publish(*here(), verdict=verdict)


@step(execution_timeout=SHORT, outlets=[MODEL], **NETWORK)
def register(verdict: dict[str, Any], **context: Any) -> dict[str, Any]:
    """Register the model in MLflow as champion or challenger, with the reason."""
    from export import steps

    registered = steps.register(*here(), verdict=verdict, tags=tags())
    context["outlet_events"][MODEL].extra = registered
    return registered


@step(execution_timeout=SHORT, on_success_callback=None, **NETWORK)
def conclude(settings: dict[str, Any]) -> None:
    """Say what serves now and why, and which command changes it."""
    from export import steps

    verdict = get_current_context()["ti"].xcom_pull(task_ids="train_and_release.gate")
    lines = steps.conclude(*here(), verdict=verdict, source=settings.get("source"))
    print("\n".join(["", *lines]), flush=True)


@task_group(tooltip="From a prepared dataset to a model that is served, if it is not worse than the one before")
def train_and_release(settings: Any, prepared: Any) -> None:
    """Train, evaluate, track, export, gate, publish, register."""
    trained = train(settings, prepared)
    evaluated = evaluate(prepared)
    tracked = track(prepared)
    exported = export(settings, prepared, tracked)
    verdict = gate(settings, prepared)
    chain(trained, evaluated, tracked, exported, verdict, publish(verdict), register(verdict))
