#!/usr/bin/env bash
# Run the data pipeline's DAG once, through Airflow on SQLite: deploy/local/pipeline.sh [folder or base URL of photos]
# PRODUCT=name and REPLACE=1 are the DAG's parameters of these names.
set -euo pipefail
# shellcheck source=deploy/local/environment.sh
. "$(dirname "$0")/environment.sh"

source=${1:-}
if [ -d "$source" ]; then source=$(realpath "$source"); fi
if [ -n "$source" ] && [ ! -d "$source" ] && [[ "$source" != *://* ]]; then
  echo "$source: there is no such folder; give a folder or a URL of <class>/<photo>" >&2
  exit 1
fi
echo "running the pipeline through Airflow, whose database is made first"
migrate
began=$SECONDS
parameters=$(SOURCE=$source PRODUCT=${PRODUCT:-} REPLACE=${REPLACE:-} python -c 'import json, os
given = {"source": os.environ["SOURCE"] or None, "product": os.environ["PRODUCT"] or None}
print(json.dumps(given | {"replace": os.environ["REPLACE"] not in ("", "0") or None}))')
# What the tasks print is for people, and is enough.
export PYTHONWARNINGS=ignore AIRFLOW__LOGGING__LOGGING_LEVEL=CRITICAL
python deploy/local/supervise.py pipeline airflow dags test dandelion_data_pipeline -c "$parameters" || {
  code=$?
  [ "$code" = 130 ] || echo "the pipeline failed (see above); mend it and run it again: what is done is not done twice" >&2
  exit "$code"
}
echo
echo "done in $((SECONDS - began)) s; a running \`make run\` serves what the store points at by itself"
echo "next: make run (http://localhost:8000), make mlflow (the runs), make airflow (the schedule)"
