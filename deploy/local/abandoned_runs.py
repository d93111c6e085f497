"""Runs of the DAGs that were going on when Airflow was killed: closed, as Airflow itself leaves them as running."""

from __future__ import annotations

import os
from pathlib import Path

# Airflow's own start says much on the screen that is nobody's concern here.
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")

from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.timezone import utcnow
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import select, update

DAGS = sorted(file.stem for file in (Path(__file__).parents[2] / "dags").glob("dandelion_*.py"))
BEGUN = (TaskInstanceState.RUNNING, TaskInstanceState.QUEUED, TaskInstanceState.RESTARTING)


def close_abandoned_runs(*, of_scheduler: bool, of_pipeline: bool) -> list[str]:
    """Close as failed what was going on in a killed scheduler, or in a killed `make pipeline`; returns their ids.

    A run that has not begun is left to the next scheduler. Only of a SQLite file is it known that nobody else uses it.
    """
    closed: list[str] = []
    if not conf.get("database", "sql_alchemy_conn").startswith("sqlite"):
        return closed
    with create_session() as session:
        running = select(DagRun).where(DagRun.state == DagRunState.RUNNING, DagRun.dag_id.in_(DAGS))
        for run in session.scalars(running).all():
            if not (of_pipeline if run.triggered_by == DagRunTriggeredByType.TEST else of_scheduler):
                continue
            begun = TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id, TaskInstance.state.in_(BEGUN)
            ended = {"state": TaskInstanceState.FAILED, "end_date": utcnow()}
            session.execute(update(TaskInstance).where(*begun).values(**ended))
            run.set_state(DagRunState.FAILED)
            closed.append(run.run_id)
            print(f"closed {run.dag_id} {run.run_id}: it was killed; run it again, what is done is not done twice")
    return closed


def say_which_are_paused(page: str) -> None:
    """One line a DAG: whether its schedule is on, and if not, why."""
    with create_session() as session:
        paused = set(session.scalars(select(DagModel.dag_id).where(DagModel.is_paused)))
    for dag in DAGS:
        off = f"paused, as it was left; switch it on at {page}/dags/{dag}"
        print(f"{dag:28} {off if dag in paused else 'on'}", flush=True)
