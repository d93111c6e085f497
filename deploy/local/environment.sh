# shellcheck shell=bash
# Sourced by the commands of this folder: everything local, below var/. What is set already stays.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit
bin="$root/.venv/bin"
export PATH="$bin:$PATH" PYTHONPATH="$root"

export DANDELION_DATA=${DANDELION_DATA:-$root/var/store/dandelion-data}
export DANDELION_MODELS=${DANDELION_MODELS:-$root/var/store/dandelion-models}
export DANDELION_WORK=${DANDELION_WORK:-$root/var/pipeline}
export MLFLOW_TRACKING_URI=${MLFLOW_TRACKING_URI:-sqlite:///$root/var/mlflow/mlflow.db}
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true ORT_DISABLE_TELEMETRY=1
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # for evaluations of language models: six processes, a gigabyte

export AIRFLOW_HOME=${AIRFLOW_HOME:-$root/var/airflow}
export AIRFLOW__CORE__DAGS_FOLDER=$root/dags
export AIRFLOW__CORE__LOAD_EXAMPLES=false
# While a training keeps the processor busy the first answer may take longer than the five seconds of the default.
export AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=${AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT:-60}
export AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=${AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION:-false}
export AIRFLOW__CORE__PARALLELISM=${AIRFLOW__CORE__PARALLELISM:-$(nproc)}
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=false
export AIRFLOW__API__HOST=${AIRFLOW__API__HOST:-127.0.0.1}
export AIRFLOW__API__PORT=${AIRFLOW_PORT:-8080}
# Nobody but this host can reach it: no password is asked for.
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=${AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS:-true}

migrate() {
  mkdir -p "$AIRFLOW_HOME" "$root/var/mlflow"
  airflow db migrate >"$AIRFLOW_HOME/migrate.log" 2>&1 || {
    tail -5 "$AIRFLOW_HOME/migrate.log" >&2
    echo "Airflow's database could not be made; the whole log is $AIRFLOW_HOME/migrate.log" >&2
    exit 1
  }
}
