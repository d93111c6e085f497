"""MLflow tracking server: a SQLite file, or the server of MLFLOW_TRACKING_URI."""

from __future__ import annotations

import hashlib
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

# MLflow's page shows training runs rather than traces of language models where an experiment says so.
KIND_TAG, MODEL_TRAINING = "mlflow.experimentKind", "custom_model_development"
_OF_MODEL_TRAINING = f"tags.`{KIND_TAG}` = '{MODEL_TRAINING}'"
RUN_TAG = "dandelion.run"
DONE_TAG = "dandelion.logged"
HASHED = "sha256:"  # before a run's key that is kept as its hash
PATIENCE_S = 10
LOCAL_PORT = 5000  # of `make mlflow`
RETRIES = "2"


class TrackerAway(Refusal):
    """The tracking server cannot be reached, or refuses; nothing of the run is lost."""

    retryable = True


class Tracker:
    """One tracking server and the experiment of a product. Every method raises TrackerAway where it does not answer."""

    def __init__(self, uri: str, *, product: str, resume: str) -> None:
        """`resume` is what the operator does when the server is back; it ends the message of TrackerAway."""
        self.uri = uri
        self.experiment = product
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
        """The experiment, made where it is not there yet, and marked as one of model training."""
        with self.answering():
            found = self.client.get_experiment_by_name(self.experiment)
            if found is None:
                tags = {KIND_TAG: MODEL_TRAINING}
                return str(self.client.create_experiment(self.experiment, self._artifacts(), tags))
            if KIND_TAG not in found.tags:
                self.client.set_experiment_tag(found.experiment_id, KIND_TAG, MODEL_TRAINING)
            return str(found.experiment_id)

    def run_named(self, key: str, *, name: str | None = None) -> Run:
        """The MLflow run that keeps a pipeline's run `key`, called `name`; begun where there is none.

        There is never a second, and never one for two keys.
        """
        with self.answering():
            tag = _quotable(key)
            quoted = f"tags.`{RUN_TAG}` = '{tag}'"
            found = next(iter(self.client.search_runs([self.experiment_id], quoted, max_results=1)), None)
            if found is None:
                return self.client.create_run(self.experiment_id, tags={RUN_TAG: tag}, run_name=name or key)
            if name and found.info.run_name != name:
                self.client.update_run(found.info.run_id, name=name)
            return found

    def finish(self, run_id: str) -> None:
        """Close a run that has been logged whole."""
        with self.answering():
            self.client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))

    def page_of(self, run_id: str) -> str:
        """Where a person looks at a run; for a file, what `make mlflow` shows."""
        return f"{self.page}/runs/{run_id}"

    @property
    def page(self) -> str:
        """The experiment's page; for a file, as `make mlflow` shows it. Its runs are below `/runs`."""
        local = f"http://localhost:{os.environ.get('MLFLOW_PORT') or LOCAL_PORT}"
        server = self.uri.rstrip("/") if self._is_server else local
        return f"{server}/#/experiments/{self.experiment_id}"

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
        """Beside a SQLite file; a server decides for itself."""
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


def run_pages(server: str) -> dict[str, str]:
    """The page of the runs of each product at the tracking server `server`, newest first."""
    client = MlflowClient(server)
    found = client.search_experiments(order_by=["last_update_time DESC"], filter_string=_OF_MODEL_TRAINING)
    return {one.name: f"{server}/#/experiments/{one.experiment_id}/runs" for one in found}


def _quotable(key: str) -> str:
    """The key as a filter can quote it: one with an apostrophe by its hash; the same for no two keys."""
    if "'" not in key and not key.startswith(HASHED):
        return key
    return HASHED + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
