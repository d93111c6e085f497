"""The whole pipeline as its tasks call it, in miniature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export import steps as exporting
from training import steps
from training.places import Places

RECIPE: dict[str, Any] = {"image_size": 64, "epochs": 2, "weights": "none", "seed": 1}
SPLIT: dict[str, Any] = {"validation": 0.25, "seed": 1}


def places_in(folder: Path, **changes: Any) -> Places:
    """Everything in one folder."""
    fields: dict[str, Any] = {
        "data": str(folder / "data"),
        "models": str(folder / "models"),
        "work": folder / "work",
        "tracking": f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
    }
    return Places(**(fields | changes))


def load_photos(places: Places, run: str, source: Path) -> str:
    """From a folder of photos to a stored dataset; returns its hash."""
    steps.prepare_places(places)
    given: dict[str, Any] = {"source": str(source), "listing": None, "workers": 4}
    steps.fetch(places, run, **given)
    steps.store_raw(places, run, **given)
    prepared = steps.prepare(places, run, labels=None, **SPLIT)
    return str(steps.store_processed(places, run, labels=None, **SPLIT)["dataset"]) or str(prepared["dataset"])


def train(places: Places, run: str, dataset: str, **changes: Any) -> dict[str, Any]:
    """A checkpoint and its report."""
    trained = steps.train(places, run, dataset=dataset, **(RECIPE | changes))
    steps.evaluate(places, run, dataset=dataset)
    return trained


def release(
    places: Places, run: str, dataset: str, *, mlflow_run: str | None = None, min_accuracy: float = 0.0
) -> dict[str, Any]:
    """From the checkpoint to the models store; returns the verdict with what was published."""
    exported = exporting.export(places, run, dataset=dataset, mlflow_run=mlflow_run, min_accuracy=min_accuracy)
    verdict = exporting.gate(places, run, dataset=dataset, tolerance=0.02)
    return exported | {"verdict": verdict} | exporting.publish(places, run, verdict=verdict)
