"""Teachings and what came of them: the state of the last one of each dataset, its report, its model."""

from __future__ import annotations

import threading

import msgspec

from runtime.teaching.report import Report
from runtime.teaching.workspace.database import Database
from runtime.teaching.workspace.history import no_dataset
from runtime.teaching.workspace.inbox import note_lesson, note_served
from runtime.teaching.workspace.records import ENDED, Run

INTERRUPTED = "the appliance was stopped meanwhile; nothing is lost, teach again"


class Runs:
    """Thread-safe. Progress is kept in memory alone; the beginning and the end of a run on disk, too."""

    def __init__(self, database: Database) -> None:
        """Runs that a stopped process left behind have failed."""
        self._database = database
        self._lock = threading.Lock()
        self._live: dict[str, Run] = {}
        ended = ", ".join(f"'{state}'" for state in sorted(ENDED))
        with database.changing() as connection:
            connection.execute(
                f"UPDATE runs SET state = 'failed', detail = ? WHERE state NOT IN ({ended})",  # noqa: S608
                [INTERRUPTED],
            )

    def of(self, dataset: str) -> Run | None:
        """The last run of a dataset."""
        with self._lock:
            live = self._live.get(dataset)
        if live:
            return live
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT state, done, total, detail, seconds FROM runs WHERE dataset = ?", [dataset]
            ).fetchone()
        return Run(*row) if row else None

    def show(self, dataset: str, run: Run) -> None:
        """Say how far a run is."""
        with self._lock:
            self._live[dataset] = run

    def note(self, dataset: str, run: Run) -> None:
        """Keep the beginning or the end of a run; raises NotThere if its dataset was deleted."""
        with self._database.changing() as connection:
            if connection.execute("SELECT 1 FROM datasets WHERE id = ?", [dataset]).fetchone() is None:
                self.forget(dataset)
                raise no_dataset(dataset)
            connection.execute(
                "INSERT OR REPLACE INTO runs (dataset, state, done, total, detail, seconds) VALUES (?, ?, ?, ?, ?, ?)",
                [dataset, run.state, run.done, run.total, run.detail, run.seconds],
            )
        if run.ended:
            self.forget(dataset)
        else:
            self.show(dataset, run)

    def check(self) -> None:
        """Raises WorkspaceError if the database cannot be read."""
        with self._database.reading() as connection:
            connection.execute("SELECT state FROM runs").fetchall()

    def forget(self, dataset: str) -> None:
        """Forget the progress of a run."""
        with self._lock:
            self._live.pop(dataset, None)

    def learned_from(self, dataset: str) -> int:
        """Which state of the labelled photos a run that begins now learns from."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT labelled FROM datasets WHERE id = ?", [dataset]).fetchone()
        if row is None:
            raise no_dataset(dataset)
        return int(row["labelled"])

    def learned(self, dataset: str, report: Report, version: str, labelled: int) -> None:
        """Keep the report and the version of a taught model; raises NotThere if its dataset was deleted."""
        with self._database.changing() as connection:
            kept = connection.execute(
                "UPDATE datasets SET report = ?, report_of = ?, version = ?, revision = revision + 1 WHERE id = ?",
                [msgspec.json.encode(report).decode(), labelled, version, dataset],
            )
            if not kept.rowcount:
                raise no_dataset(dataset)
            note_lesson(connection, dataset, version)

    def served(self, dataset: str, version: str) -> None:
        """Note which version of a dataset is served."""
        with self._database.changing() as connection:
            connection.execute(
                "UPDATE datasets SET served = ?, revision = revision + 1 WHERE id = ?", [version, dataset]
            )
            note_served(connection, version)

    def discard(self, dataset: str) -> None:
        """Throw the taught model and its report away."""
        with self._database.changing() as connection:
            connection.execute(
                "UPDATE datasets SET report = NULL, report_of = NULL, version = NULL, revision = revision + 1 "
                "WHERE id = ?",
                [dataset],
            )
