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

    Validation figures are of the labels' photos; the last one says how well photos of other things are told from them,
    as the area under the ROC curve of the unknown class. What an epoch was not validated for is None.
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
    validation_unknown_auroc: float | None = None

    def __str__(self) -> str:
        """One line for a terminal."""
        text = f"epoch {self.epoch}: loss {self.train_loss:.3f}, {self.seconds:.1f} s"
        if self.validation_accuracy is None:
            return text
        text += (
            f"; validation: loss {self.validation_loss:.3f}, accuracy {self.validation_accuracy:.4f}, "
            f"F1 {self.validation_f1:.4f}"
        )
        told_apart = self.validation_unknown_auroc
        return text if told_apart is None else f"{text}, other things told apart {told_apart:.4f} (AUROC)"


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
