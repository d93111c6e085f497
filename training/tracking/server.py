"""MLflow tracking server: a SQLite file, or the server of MLFLOW_TRACKING_URI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import mlflow
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from runtime.errors import Refusal

EXPERIMENT = "dandelion-classifier"
RUN_TAG = "dandelion.run"
DONE_TAG = "dandelion.logged"
PATIENCE_S = 10
RETRIES = "2"


class TrackerAway(Refusal):
    """The tracking server cannot be reached, or refuses; nothing of the run is lost."""

    retryable = True


class Tracker:
    """One tracking server and its experiment. Every method raises TrackerAway where it does not answer."""

    def __init__(self, uri: str, *, resume: str) -> None:
        """`resume` is what the operator does when the server is back; it ends the message of TrackerAway."""
        self.uri = uri
        self._resume = resume
        # Nobody wants to hear after minutes that it is away.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(PATIENCE_S * 3))
        self._ask_for_health()
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self.client = MlflowClient(uri, uri)

    @property
    def experiment_id(self) -> str:
        """The experiment, made where it is not there yet."""
        with self.answering():
            found = self.client.get_experiment_by_name(EXPERIMENT)
            if found:
                return str(found.experiment_id)
            return str(self.client.create_experiment(EXPERIMENT, artifact_location=self._artifacts()))

    def run_named(self, name: str) -> Run:
        """The MLflow run that keeps a pipeline's run `name`; begun where there is none: there is never a second."""
        with self.answering():
            quoted = name.replace("'", "_")
            found = self.client.search_runs([self.experiment_id], f"tags.`{RUN_TAG}` = '{quoted}'", max_results=1)
            if found:
                return found[0]
            return self.client.create_run(self.experiment_id, tags={RUN_TAG: quoted}, run_name=name)

    def finish(self, run_id: str) -> None:
        """Close a run that has been logged whole."""
        with self.answering():
            self.client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))

    def page_of(self, run_id: str) -> str:
        """Where a person looks at a run; for a file, what `make mlflow` shows."""
        server = self.uri.rstrip("/") if self._is_server else "http://localhost:5000"
        return f"{server}/#/experiments/{self.experiment_id}/runs/{run_id}"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn MLflow's own failures into TrackerAway."""
        try:
            yield
        except (MlflowException, OSError) as error:
            reason = str(error).splitlines()[0][:300]
            raise TrackerAway(f"{self._where}: {reason}; {self._resume}") from error

    @property
    def _is_server(self) -> bool:
        return urlsplit(self.uri).scheme in ("http", "https")

    @property
    def _where(self) -> str:
        parts = urlsplit(self.uri)
        return self.uri.replace(f":{parts.password}@", ":…@") if parts.password else self.uri

    def _artifacts(self) -> str | None:
        """ComparisonModel a SQLite file; a server decides for itself."""
        if not self.uri.startswith("sqlite:///"):
            return None
        folder = Path(self.uri.removeprefix("sqlite:///")).resolve().parent
        return (folder / "artifacts").as_uri()

    def _ask_for_health(self) -> None:
        if not self._is_server:
            if self.uri.startswith("sqlite:///"):
                Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            return
        try:
            answer = httpx.get(f"{self.uri.rstrip('/')}/health", timeout=PATIENCE_S)
        except httpx.HTTPError as error:
            raise TrackerAway(f"{self._where}: does not answer ({error}); nothing is lost: {self._resume}") from error
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise TrackerAway(f"{self._where}: answers {answer.status_code} to /health; {self._resume}")
