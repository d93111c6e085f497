"""Training history: loss and metrics of each epoch, which epoch was kept, and why.

One rule for every training (`fit`, cross-validation, the pipeline, the sweep, narrowing): the last epoch is kept. The
learning rate has decayed to 0 by then and the weights are averaged, so later is better but for chance; the best of five
by a few dozen validation photos follows that chance, and their figures are no longer those of photos unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from runtime.errors import Refusal

KEPT_BECAUSE = "the last epoch is kept, whatever the validation photos say: they only measure"


class HistoryError(Refusal):
    """A history that this release did not write; the message names the file and the remedy."""


class EpochFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One epoch; precision, recall and F1 are means over the classes, losses are in nats.

    What an epoch was not validated for is None.
    """

    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_precision: float | None = None
    validation_recall: float | None = None
    validation_f1: float | None = None

    def __str__(self) -> str:
        """One line for a terminal."""
        text = f"epoch {self.epoch}: loss {self.train_loss:.3f}, {self.seconds:.1f} s"
        if self.validation_accuracy is None:
            return text
        return (
            f"{text}; validation: loss {self.validation_loss:.3f}, accuracy {self.validation_accuracy:.4f}, "
            f"F1 {self.validation_f1:.4f}"
        )


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`history.json`: the epochs, the one that was kept, and why."""

    kept_epoch: int
    kept_because: str
    epochs: list[EpochFigures]


def write_history(file: Path, epochs: Sequence[EpochFigures]) -> None:
    """Write the figures of the epochs as JSON."""
    history = History(epochs[-1].epoch, KEPT_BECAUSE, list(epochs))
    file.write_bytes(msgspec.json.format(msgspec.json.encode(history), indent=2) + b"\n")


def read_history(file: Path) -> History:
    """Read what `write_history` wrote; raises HistoryError for what an earlier release left there."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=History)
    except msgspec.DecodeError as error:
        raise HistoryError(f"{file}: {error}; run `python -m training fit` again") from error
