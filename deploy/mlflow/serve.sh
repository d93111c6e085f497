#!/bin/sh
# MLflow's tracking server, once its database lets it in.
set -eu

python /opt/mlflow/reachable.py MLFLOW_BACKEND_STORE_URI
# One worker holds 0.5 GB; a team of a few people needs no more.
exec mlflow server --host 0.0.0.0 --port 5000 --workers 1
