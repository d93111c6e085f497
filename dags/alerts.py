"""Task callbacks: log lines on success, retry and failure, and a webhook notification on failure."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Any

TIMEOUT_S = 10
VARIABLE, ENVIRONMENT = "dandelion_webhook", "DANDELION_WEBHOOK"

log = logging.getLogger(__name__)


def say_retry(context: dict[str, Any]) -> None:
    """Log why the task is retried."""
    task = context["task_instance"]
    print(f"{task.task_id:32} will be retried: {context.get('exception')}", flush=True)


def say_failed(context: dict[str, Any]) -> None:
    """Log why the task failed; with a stack trace unless it is a user error."""
    from airflow.sdk.exceptions import AirflowFailException

    from runtime.cli.say import runnable

    task, error = context["task_instance"], context.get("exception")
    if isinstance(error, BaseException) and not isinstance(error, AirflowFailException):
        traceback.print_exception(error, file=sys.stdout)
    print(f"{task.task_id:32} failed: {runnable(str(error))}", flush=True)


def say_done(context: dict[str, Any]) -> None:
    """Log the result of the task, also for people who run a pipeline by hand."""
    task = context["task_instance"]
    result = task.xcom_pull(task_ids=task.task_id, map_indexes=task.map_index)
    seconds = (task.end_date - task.start_date).total_seconds() if task.end_date else 0.0
    print(f"{task.task_id:32} {seconds:6.1f} s  {_brief(result)}", flush=True)


def tell_webhook(context: dict[str, Any]) -> None:
    """Post the failure as JSON to the webhook, if one is set; an unreachable webhook fails nothing."""
    import httpx

    address = _address()
    if not address:
        return
    task = context["task_instance"]
    message = {
        "text": f"{task.dag_id}: {task.task_id} failed in run {task.run_id} (try {task.try_number})",
        "dag": task.dag_id,
        "task": task.task_id,
        "run": task.run_id,
        "try": task.try_number,
        "error": str(context.get("exception") or ""),
        "log": getattr(task, "log_url", None),
    }
    try:
        httpx.post(address, json=message, timeout=TIMEOUT_S).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("%s could not be told: %s", VARIABLE, type(error).__name__)  # the address may hold a secret


def _address() -> str | None:
    from airflow.sdk import Variable

    stored: str | None = Variable.get(VARIABLE, default=None)
    return stored or os.environ.get(ENVIRONMENT)


def _brief(result: Any) -> str:
    if not isinstance(result, dict):
        return "" if result is None else str(result)
    return ", ".join(f"{name} {_brief_value(value)}" for name, value in result.items() if value not in (None, [], {}))


def _brief_value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {inner}" for name, inner in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
