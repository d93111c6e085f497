"""What is told to the outside when a task fails."""

from __future__ import annotations

import logging
import os
from typing import Any

TIMEOUT_S = 10
VARIABLE, ENVIRONMENT = "dandelion_webhook", "DANDELION_WEBHOOK"

log = logging.getLogger(__name__)


def tell_webhook(context: dict[str, Any]) -> None:
    """Post the failure as JSON to the webhook, where there is one; a webhook that is away fails nothing."""
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
