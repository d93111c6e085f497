#!/usr/bin/env bash
# The page of MLflow for the local runs: http://localhost:5000
set -euo pipefail
# shellcheck source=deploy/local/environment.sh
. "$(dirname "$0")/environment.sh"

port=${MLFLOW_PORT:-5000}
mkdir -p var/mlflow
case $MLFLOW_TRACKING_URI in
  http*)
    echo "the runs are at $MLFLOW_TRACKING_URI: open that"
    exit 0
    ;;
esac
echo "starting MLflow on http://localhost:$port (MLFLOW_PORT= changes the port); it says where the runs are"
python deploy/local/mlflow_pages.py "$port" "$$" &
exec mlflow server --backend-store-uri "$MLFLOW_TRACKING_URI" --default-artifact-root var/mlflow/artifacts \
  --host 127.0.0.1 --port "$port" --workers 1
