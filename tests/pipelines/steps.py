"""The whole pipeline as its tasks call it, in miniature; as a program it can be made to die in the middle of a task.

python -m tests.pipelines.steps FOLDER SOURCE FIRST LAST [--die]: runs the tasks FIRST to LAST, and dies in LAST.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export import steps as exporting
from training.pipeline import steps
from training.storage.locations import Places

RECIPE: dict[str, Any] = {"image_size": 64, "epochs": 2, "weights": "none", "seed": 1}
SPLIT: dict[str, Any] = {"validation": 0.25, "seed": 1}
RUN = "manual__2026-01-01T00:00:00+00:00"
SECOND_WRITE = 2


def places_in(folder: Path, **changes: Any) -> Places:
    """Everything in one folder."""
    fields: dict[str, Any] = {
        "data": str(folder / "data"),
        "models": str(folder / "models"),
        "work": folder / "work",
        "tracking": f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}",
    }
    return Places(**(fields | changes))


def tasks(
    places: Places, source: Path | str | None, run: str = RUN, *, product: str | None = None, **recipe: Any
) -> dict[str, Callable[[], dict[str, Any]]]:
    """The tasks of the data pipeline in their order, as its DAG calls them; their results pass from one to the next."""
    given: dict[str, Any] = {"source": source and str(source), "listing": None, "workers": 4, "product": product}

    def dataset() -> str:
        return str(steps.prepare(places, run, labels=None, **SPLIT)["dataset"])

    def verdict() -> dict[str, Any]:
        return exporting.gate(places, run, dataset=dataset(), tolerance=1.0)

    def track() -> dict[str, Any]:
        return steps.track(places, run, dataset=dataset(), tags={"airflow.run": run})

    def export() -> dict[str, Any]:
        mlflow_run = track()["mlflow_run"]
        return exporting.export(places, run, dataset=dataset(), mlflow_run=mlflow_run, min_accuracy=0.0)

    return {
        "make_places": lambda: steps.prepare_places(places),
        "fetch": lambda: steps.fetch(places, run, **given),
        "store_raw": lambda: steps.store_raw(places, run, **given),
        "prepare": lambda: steps.prepare(places, run, labels=None, **SPLIT),
        "store_processed": lambda: steps.store_processed(places, run, labels=None, **SPLIT),
        "train": lambda: steps.train(places, run, dataset=dataset(), **(RECIPE | recipe)),
        "evaluate": lambda: steps.evaluate(places, run, dataset=dataset()),
        "track": track,
        "export": export,
        "gate": verdict,
        "publish": lambda: exporting.publish(places, run, verdict=verdict()),
        "register": lambda: exporting.register(places, run, verdict=verdict(), tags={"airflow.run": run}),
    }


def all_of(places: Places, source: Path | str, run: str = RUN, **recipe: Any) -> dict[str, dict[str, Any]]:
    """Every task once; their results by name."""
    return {name: task() for name, task in tasks(places, source, run, **recipe).items()}


def die_while_writing(folder: Path) -> None:
    """Kill this process, as a power cut would, when it is about to write its second file below `folder`."""
    begun = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal begun
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            path, writes = arguments[0] if arguments else "", event in {"os.rename", "os.mkdir", "sqlite3.connect"}
        if writes and str(path).removeprefix("file:").startswith(str(folder)):
            begun += 1
            if begun == SECOND_WRITE:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def main(folder: Path, source: str, first: str, last: str, die: bool) -> None:
    """Run from `first` to `last`."""
    chain = tasks(places_in(folder), source)
    names = list(chain)
    for name in names[names.index(first) : names.index(last) + 1]:
        if name == last and die:
            die_while_writing(folder)
        print(name, chain[name](), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], "--die" in sys.argv)
