#!/usr/bin/env bash
# Airflow with the DAGs, on this host: scheduler, DAG processor, triggerer, and its page on http://localhost:8080
set -euo pipefail
# shellcheck source=deploy/local/environment.sh
. "$(dirname "$0")/environment.sh"

migrate
echo "next: open http://localhost:$AIRFLOW__API__PORT, unpause a DAG, trigger it (AIRFLOW_PORT= changes the port)"
exec airflow standalone
