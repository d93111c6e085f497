"""Airflow DAGs: order and schedule only; tasks are in `training.pipeline.steps`, `export.steps`, `runtime.batch`."""
