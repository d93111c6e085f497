#!/usr/bin/env bash
# Resolve what goes into the three images, for every Python and processor, with hashes: deploy/lock.sh [path of uv]
# A lock that exists is kept where it still fits: UPGRADE=1 takes the newest of everything.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() {
  local output=deploy/$1/requirements.lock
  shift
  "${uv[@]}" "$@" --output-file "$output"
  if grep -nE '://|^-' "$output"; then
    echo "$output names an index: it must hold names, versions and hashes alone" >&2
    exit 1
  fi
}

uv=("${1:-uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes
  --no-annotate --no-header --no-emit-index-url --no-emit-find-links)
if [ "${UPGRADE:-}" = 1 ]; then uv+=(--upgrade); fi

lock appliance --extra ui pyproject.toml
lock mlflow deploy/mlflow/requirements.in
lock airflow --extra export --override deploy/airflow/overrides.txt pyproject.toml deploy/airflow/requirements.in
