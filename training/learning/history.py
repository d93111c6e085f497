"""Training history: loss and metrics of each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec


class EpochFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One epoch; precision, recall and F1 are means over the classes, losses are in nats."""

    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    validation_precision: float
    validation_recall: float
    validation_f1: float


def best_epoch(history: Sequence[EpochFigures]) -> int:
    """The epoch (from 1) with the highest validation F1; of equals the one with the lowest validation loss."""
    return max(history, key=lambda epoch: (epoch.validation_f1, -epoch.validation_loss)).epoch


def write_history(file: Path, history: Sequence[EpochFigures]) -> None:
    """Write the figures as a JSON list."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(list(history)), indent=2) + b"\n")


def read_history(file: Path) -> list[EpochFigures]:
    """Read what `write_history` wrote."""
    return msgspec.json.decode(file.read_bytes(), type=list[EpochFigures])
