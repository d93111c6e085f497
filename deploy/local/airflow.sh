#!/usr/bin/env bash
# Airflow with the DAGs, on this host: scheduler, DAG processor, triggerer, and its page on http://localhost:8080
set -euo pipefail
# shellcheck source=deploy/local/environment.sh
. "$(dirname "$0")/environment.sh"

echo "starting Airflow; its page will be http://localhost:$AIRFLOW__API__PORT (AIRFLOW_PORT= changes the port)"
migrate
exec python deploy/local/supervise.py airflow airflow standalone
