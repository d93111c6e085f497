#!/bin/sh
# MLflow's tracking server, once its database lets it in.
set -eu

python /opt/mlflow/reachable.py MLFLOW_BACKEND_STORE_URI
if [ -z "${MLFLOW_S3_ENDPOINT_URL:-}" ] && [ -n "${MINIO_ENDPOINT:-}" ]; then
  case $MINIO_ENDPOINT in
    *://*) export MLFLOW_S3_ENDPOINT_URL="$MINIO_ENDPOINT" ;;
    *) export MLFLOW_S3_ENDPOINT_URL="http://$MINIO_ENDPOINT" ;;
  esac
fi
if [ -z "${MLFLOW_SERVER_ALLOWED_HOSTS:-}" ]; then
  MLFLOW_SERVER_ALLOWED_HOSTS=$(python /opt/mlflow/hosts.py)
  export MLFLOW_SERVER_ALLOWED_HOSTS
fi
if [ -z "${MLFLOW_SERVER_CORS_ALLOWED_ORIGINS:-}" ]; then # its own page is an origin, too, when it changes something
  MLFLOW_SERVER_CORS_ALLOWED_ORIGINS=http://$(printf %s "$MLFLOW_SERVER_ALLOWED_HOSTS" | sed 's|,|,http://|g')
  export MLFLOW_SERVER_CORS_ALLOWED_ORIGINS
fi
# One worker holds 0.5 GB; a team of a few people needs no more.
exec mlflow server --host 0.0.0.0 --port 5000 --workers 1
