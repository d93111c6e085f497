"""The calibration that a cross-validation found: temperature and thresholds from held-out answers to every photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from runtime.errors import Refusal
from runtime.host.atomic import whole_file
from runtime.inference.thresholds import ANSWER_PRECISION
from training.metrics.calibration import Calibration
from training.model.checkpoint import Checkpoint

FILE = "calibration.json"


class CalibrationError(Refusal):
    """A calibration that cannot be read; the message names the file and the remedy."""


class CrossCalibration(msgspec.Struct, frozen=True):
    """What `python -m training evaluate --folds K` found out, of which photos and which recipe.

    It holds for a network that is trained by the same recipe on most of the same photos: K times as many held-out
    answers as that network's own validation photos give, and of networks that are as good as it.
    """

    dataset_sha256: str
    image_size: int
    epochs: int
    weights: str
    folds: int
    photos: int
    temperature: float
    abstain: float
    unknown: float | None = None

    @property
    def calibration(self) -> Calibration:
        """The calibration itself."""
        return Calibration(self.temperature, self.abstain, self.unknown)

    def why_not_for(self, checkpoint: Checkpoint, precision: float) -> str | None:
        """Why it does not hold for a checkpoint whose certain answers are to be right with `precision`; else None."""
        if checkpoint.dataset_sha256 != self.dataset_sha256:
            return "it is of other photos"
        theirs = checkpoint.image_size, checkpoint.epochs, checkpoint.weights, checkpoint.unknown
        if theirs != (self.image_size, self.epochs, self.weights, self.unknown is not None):
            return "it is of another recipe"
        if checkpoint.widths is not None:
            return "it is of networks that were not narrowed"
        if precision != ANSWER_PRECISION:
            return f"its answers are right {ANSWER_PRECISION:.0%} of the time, and {precision:.0%} are asked for"
        return None


def write_calibration(folder: Path, found: CrossCalibration) -> Path:
    """Keep it in the folder of the report, whole or not at all; returns the file."""
    file = folder / FILE
    with whole_file(file) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return file


def calibration_for(
    checkpoint: Checkpoint, file: Path, *, precision: float, say: Callable[[str], None]
) -> Calibration | None:
    """The calibration that the `file` holds for a checkpoint; None where there is none, or it is of something else.

    What is done is said. Raises CalibrationError for a file that cannot be read.
    """
    try:
        found = msgspec.json.decode(file.read_bytes(), type=CrossCalibration)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CalibrationError(f"{file}: {error.strerror}; --calibration names another") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise CalibrationError(
            f"{file}: is no calibration ({error}); remove it, or run `python -m training evaluate --folds 5` again"
        ) from error
    if why := found.why_not_for(checkpoint, precision):
        say(f"calibrated on the validation photos, not by {file}: {why}")
        return None
    say(f"calibrated on {found.photos} held-out photos of {found.folds} folds ({file})")
    return found.calibration
