"""Does the database let us in? `python reachable.py VARIABLE`, which holds its URI; one line says why not.

Asked before a program whose own complaint would be a page of traceback.
"""

from __future__ import annotations

import os
import sys

import psycopg2

PATIENCE_S = 10


def main(variable: str) -> None:
    """Connect once; another kind of database than PostgreSQL is not asked."""
    scheme, _, rest = os.environ[variable].partition("://")
    if not scheme.startswith("postgresql"):
        return
    try:
        psycopg2.connect(f"postgresql://{rest}", connect_timeout=PATIENCE_S).close()
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        sys.exit(f"{variable}: {reason}; check host and password (a database keeps the password of its first start)")


if __name__ == "__main__":
    main(sys.argv[1])
