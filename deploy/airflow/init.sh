#!/usr/bin/env bash
# Bring Airflow's database up to date and write the password of the user admin; safe to run again.
set -euo pipefail

python /opt/dandelion/reachable.py AIRFLOW__DATABASE__SQL_ALCHEMY_CONN
airflow db migrate
umask 007
python - <<'PY'
import json, os, pathlib

file = pathlib.Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
file.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
PY
echo "the database is up to date; user admin may enter"
