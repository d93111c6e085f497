#!/usr/bin/env bash
# Finding: a schedule of Airflow with CronTriggerTimetable(run_immediately=False) begins at once all the same, if its
# last time is less than a tenth of the interval ago: a daily one that is switched on half an hour after its time runs
# then and there. timedelta(0) waits for the next time, always. The parameter's own description says of False that the
# first run is the next one; what it does is what it says of None, "within 10 %".
#
# Seen with Python 3.11, Airflow 3.3.2, Linux:
#   False: the past one after half an hour, the next one after half a day
#   timedelta(0): the next one after half an hour, the next one after half a day
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AIRFLOW_HOME="$work/airflow" AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=false
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet apache-airflow-core==3.3.2
cat >"$work/first.py" <<'PYTHON'
from datetime import UTC, datetime, timedelta

from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

NOW = datetime.now(UTC)
SWITCHED_ON = TimeRestriction(earliest=None, latest=None, catchup=False)


def first(run_immediately, ago):
    last = NOW - ago
    daily = CronTriggerTimetable(f"{last.minute} {last.hour} * * *", timezone="UTC", run_immediately=run_immediately)
    begins = daily.next_dagrun_info(last_automated_data_interval=None, restriction=SWITCHED_ON).run_after
    return "the past one" if begins < NOW else "the next one"


for name, value in (("False", False), ("timedelta(0)", timedelta(0))):
    soon, later = first(value, timedelta(minutes=30)), first(value, timedelta(hours=12))
    print(f"{name}: {soon} after half an hour, {later} after half a day")
PYTHON
"$work/venv/bin/python" "$work/first.py" | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
False: the past one after half an hour, the next one after half a day
timedelta(0): the next one after half an hour, the next one after half a day
SEEN
