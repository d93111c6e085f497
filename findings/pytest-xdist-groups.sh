#!/usr/bin/env bash
# Finding: with pytest 9.2, pytest-xdist 3.8 ignores the mark `xdist_group`. `--dist loadgroup` says nothing and spreads
# the tests of one group over all workers, so tests that share a port, a container project or a database meet each
# other. xdist appends the group to `item._nodeid`; since 9.2 `item.nodeid` is made of another attribute. With pytest
# 9.0 the same two files hold. Other modes (`loadfile`, `loadscope`) split the plain node id and still work.
#
# Seen with Python 3.11: pytest 9.0.2 + pytest-xdist 3.8.0: ['gw0']; pytest 9.2.0 + pytest-xdist 3.8.0: ['gw0', 'gw1'].
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/test_group.py" <<'EOF'
import os
import pathlib
import time

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(8))
def test_notes_its_worker(number):
    time.sleep(0.2)
    with pathlib.Path("workers").open("a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
EOF

workers_with() { # pytest's version
  python3 -m venv "$work/venv-$1"
  "$work/venv-$1/bin/pip" install --quiet "pytest==$1" pytest-xdist==3.8.0
  (
    cd "$work"
    rm -f workers
    "venv-$1/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup >&2
    sort -u workers | xargs
  )
}

old=$(workers_with 9.0.2)
new=$(workers_with 9.2.0)
echo "pytest 9.0.2: $old; pytest 9.2.0: $new"
[ "$old" = gw0 ] || [ "$old" = gw1 ]
[ "$new" = "gw0 gw1" ]
