#!/usr/bin/env bash
# Run the data pipeline's DAG once, through Airflow on SQLite: deploy/local/pipeline.sh [folder or base URL of photos]
set -euo pipefail
# shellcheck source=deploy/local/environment.sh
. "$(dirname "$0")/environment.sh"

source=${1:-}
if [ -d "$source" ]; then source=$(realpath "$source"); fi
if [ -n "$source" ] && [ ! -d "$source" ] && [[ "$source" != *://* ]]; then
  echo "$source: there is no such folder; give a folder or a URL of <class>/<photo>" >&2
  exit 1
fi
migrate
began=$SECONDS
log="$AIRFLOW_HOME/pipeline.log"
parameters=$(SOURCE=$source python -c 'import json, os; print(json.dumps({"source": os.environ["SOURCE"] or None}))')
# What Airflow itself has to say goes to the log; what the tasks print is for people.
if ! AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING airflow dags test dandelion_data_pipeline -c "$parameters" 2>"$log"; then
  grep -a -E 'Refusal|Error|refused' "$log" | tail -3 >&2 || true
  echo "the pipeline failed; the whole log is $log" >&2
  exit 1
fi
echo
echo "done in $((SECONDS - began)) s; a running \`make run\` serves the published model by itself"
echo "next: make run (http://localhost:8000), make mlflow (the runs), make airflow (the schedule)"
