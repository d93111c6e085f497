#!/usr/bin/env bash
# How long Airflow takes to read each DAG file, which it does again and again.
set -euo pipefail
# shellcheck source=deploy/local/environment.sh
. "$(dirname "$0")/environment.sh"

migrate
AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR PYTHONWARNINGS=ignore airflow dags report 2>"$AIRFLOW_HOME/report.log" || {
  tail -5 "$AIRFLOW_HOME/report.log" >&2
  exit 1
}
