"""Where a pipeline keeps what: two stores, a folder to work in, a tracking server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runtime.store import Store, open_store

DATA = "var/store/dandelion-data"
MODELS = "var/store/dandelion-models"
WORK = "var/pipeline"
TRACKING = "var/mlflow"


@dataclass(frozen=True)
class Places:
    """`data` and `models` are folders or s3://bucket/prefix; `tracking` is what MLflow takes; `work` is scratch."""

    data: str
    models: str
    work: Path
    tracking: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """DANDELION_DATA, DANDELION_MODELS, DANDELION_WORK, MLFLOW_TRACKING_URI; what is not set lies under ./var."""
        here = Path.cwd()
        tracking = here / TRACKING / "mlflow.db"
        return cls(
            data=environment.get("DANDELION_DATA") or str(here / DATA),
            models=environment.get("DANDELION_MODELS") or str(here / MODELS),
            work=Path(environment.get("DANDELION_WORK") or here / WORK),
            tracking=environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{tracking}",
        )

    @property
    def data_store(self) -> Store:
        """The store of photos and of what a run's tasks hand on."""
        return open_store(self.data)

    @property
    def models_store(self) -> Store:
        """The store of published models."""
        return open_store(self.models)
