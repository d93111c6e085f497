"""What the pipelines have in common: assets, retries, and the chain from a dataset to a registered model."""

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
# Where a network is touched: four tries over about ten minutes.
NETWORK: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}
SHORT, LONG = timedelta(minutes=20), timedelta(hours=6)


def step(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A task that does not try again what would be refused again; `options` are those of Airflow's `task`."""

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            from airflow.sdk.exceptions import AirflowFailException

            from runtime.commands import Refusal

            try:
                return function(*arguments, **named)
            except Refusal as error:
                if error.may_pass:
                    raise
                raise AirflowFailException(str(error)) from error

        return task(**options)(run)

    return decorate


def here() -> tuple[Any, str]:
    """In a task: where everything is kept, and the run that this is."""
    from training.places import Places

    return Places.from_environment(), get_current_context()["run_id"]


def tags() -> dict[str, str]:
    """In a task: which Airflow run makes something, for the tracking server."""
    context = get_current_context()
    return {
        "airflow.dag": context["dag"].dag_id,
        "airflow.run": context["run_id"],
        "airflow.logical_date": str(context.get("logical_date") or ""),
    }


@task_group(tooltip="From a prepared dataset to a model that is served, if it is not worse than the one before")
def train_and_release(settings: Any, prepared: Any) -> None:
    """Train, evaluate, track, export, gate, publish, register."""

    @step(execution_timeout=LONG)
    def train(settings: dict[str, Any], prepared: dict[str, Any]) -> dict[str, Any]:
        """Fine-tune a ResNet18 and keep the best epoch."""
        from training import steps

        recipe = {name: settings[name] for name in ("image_size", "epochs", "weights", "seed")}
        return steps.train(*here(), dataset=prepared["dataset"], **recipe)

    @step(execution_timeout=SHORT)
    def evaluate(prepared: dict[str, Any]) -> dict[str, Any]:
        """Write the validation report."""
        from training import steps

        return steps.evaluate(*here(), dataset=prepared["dataset"])

    @step(execution_timeout=SHORT, **NETWORK)
    def track(prepared: dict[str, Any]) -> dict[str, Any]:
        """Put everything of the training into MLflow."""
        from training import steps

        return steps.track(*here(), dataset=prepared["dataset"], tags=tags())

    @step(execution_timeout=SHORT)
    def export(settings: dict[str, Any], prepared: dict[str, Any], tracked: dict[str, Any]) -> dict[str, Any]:
        """Make an INT8 bundle that has proved itself."""
        from export import steps

        return steps.export(
            *here(),
            dataset=prepared["dataset"],
            mlflow_run=tracked["mlflow_run"],
            min_accuracy=settings["min_accuracy"],
        )

    @step(execution_timeout=SHORT, **NETWORK)
    def gate(settings: dict[str, Any], prepared: dict[str, Any]) -> dict[str, Any]:
        """Compare with the model that is served, photo by photo."""
        from export import steps

        return steps.gate(*here(), dataset=prepared["dataset"], tolerance=settings["tolerance"])

    @step(execution_timeout=SHORT, **NETWORK)
    def publish(verdict: dict[str, Any]) -> dict[str, Any]:
        """Put the bundle into the models store; appliances that follow it serve it soon, if it was promoted."""
        from export import steps

        return steps.publish(*here(), verdict=verdict)

    @step(execution_timeout=SHORT, outlets=[MODEL], **NETWORK)
    def register(verdict: dict[str, Any], **context: Any) -> dict[str, Any]:
        """Register the model in MLflow as champion or challenger, with the reason."""
        from export import steps

        registered = steps.register(*here(), verdict=verdict, tags=tags())
        context["outlet_events"][MODEL].extra = registered
        return registered

    trained = train(settings, prepared)
    evaluated = evaluate(prepared)
    tracked = track(prepared)
    exported = export(settings, prepared, tracked)
    verdict = gate(settings, prepared)
    chain(trained, evaluated, tracked, exported, verdict, publish(verdict), register(verdict))
