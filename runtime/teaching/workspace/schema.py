"""Schema of the workspace's database, and the migrations that bring older ones to it.

`PRAGMA user_version` is the number of migrations that a database has had.
"""

from __future__ import annotations

import sqlite3

# `labelled` is the revision in which the labelled photos came to be as they are, `report_of` that which was learned.
# Of photos, `added_by` and `removed_by` are numbers of changes; `fault` says why there are no features.
_FIRST = """
CREATE TABLE datasets (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0,
    labelled INTEGER NOT NULL DEFAULT 0,
    report TEXT,
    report_of INTEGER,
    version TEXT,
    served TEXT
) STRICT;
CREATE TABLE classes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL REFERENCES datasets ON DELETE CASCADE,
    label TEXT NOT NULL,
    UNIQUE (dataset, label)
) STRICT;
CREATE TABLE photos (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL REFERENCES datasets ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    name TEXT NOT NULL,
    class INTEGER REFERENCES classes,
    source TEXT NOT NULL,
    added REAL NOT NULL,
    size_bytes INTEGER NOT NULL,
    added_by INTEGER,
    removed_by INTEGER,
    fault TEXT,
    UNIQUE (dataset, sha256)
) STRICT;
CREATE INDEX photos_of_content ON photos (sha256);
CREATE INDEX photos_of_class ON photos (class);
CREATE TABLE features (
    sha256 TEXT NOT NULL,
    backbone TEXT NOT NULL,
    views INTEGER NOT NULL,
    brightness REAL NOT NULL,
    sums BLOB NOT NULL,
    PRIMARY KEY (sha256, backbone)
) STRICT;
CREATE TABLE changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL REFERENCES datasets ON DELETE CASCADE,
    kind TEXT NOT NULL,
    made REAL NOT NULL,
    before TEXT NOT NULL
) STRICT;
CREATE INDEX changes_of_dataset ON changes (dataset);
CREATE TABLE runs (
    dataset TEXT PRIMARY KEY REFERENCES datasets ON DELETE CASCADE,
    state TEXT NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    detail TEXT,
    seconds REAL NOT NULL
) STRICT;
"""

# Photos that serving kept, once each. `state` is waiting, accepted or rejected: of the latter the files are gone, and
# the rows keep the same photo from coming again. `correction` is the name of what was written to the data store.
# `lessons` are the models that were taught with photos of the inbox; those that were never served go with their report.
_INBOX = """
CREATE TABLE inbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    label TEXT,
    confidence REAL NOT NULL,
    product TEXT NOT NULL,
    version TEXT NOT NULL,
    received REAL NOT NULL,
    size_bytes INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    settled REAL,
    correction TEXT
) STRICT;
CREATE INDEX inbox_of_state ON inbox (state, number);
CREATE TABLE lessons (
    version TEXT PRIMARY KEY,
    dataset TEXT NOT NULL,
    name TEXT NOT NULL,
    photos INTEGER NOT NULL,
    taught REAL NOT NULL,
    served INTEGER NOT NULL DEFAULT 0
) STRICT;
"""

MIGRATIONS = (_FIRST, _INBOX)  # the n-th makes version n + 1 of version n
VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of a database; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database of this or an older version to VERSION; each step is one transaction."""
    for version in range(version_of(connection), VERSION):
        connection.executescript(f"BEGIN IMMEDIATE;{MIGRATIONS[version]}PRAGMA user_version = {version + 1};COMMIT;")
