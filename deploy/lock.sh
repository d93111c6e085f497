#!/usr/bin/env bash
# Resolve what goes into the three images, for every Python and processor, with hashes: deploy/lock.sh [path of uv]
# A lock that exists is kept where it still fits: UPGRADE=1 takes the newest of everything.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() {
  local output=deploy/$1
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

lock appliance/requirements.lock --extra ui pyproject.toml
# What the standard flavour has on top: the extra alone, with the NumPy of the lock above.
sed -n 's/^onnxruntime = \["\(.*\)"\]$/\1/p' pyproject.toml |
  lock appliance/onnxruntime.lock --constraint deploy/appliance/requirements.lock --no-emit-package numpy -
lock mlflow/requirements.lock deploy/mlflow/requirements.in
lock airflow/requirements.lock --extra export --override deploy/airflow/overrides.txt pyproject.toml deploy/airflow/requirements.in
