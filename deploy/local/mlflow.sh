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
echo "next: open http://localhost:$port, experiment dandelion-classifier (MLFLOW_PORT= changes the port)"
exec mlflow server --backend-store-uri "$MLFLOW_TRACKING_URI" --default-artifact-root var/mlflow/artifacts \
  --host 127.0.0.1 --port "$port" --workers 1
