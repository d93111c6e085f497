"""Checkpoint: the weights, and all that is needed to use them, repeat the training or refuse them."""

from __future__ import annotations

import subprocess
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from runtime.errors import Refusal
from runtime.host.atomic import remove_abandoned, whole_file
from training.model.network import ARCHITECTURE, build

SCHEMA_VERSION = 2  # 1 kept the best of the epochs, and may hold any of them


class CheckpointError(Refusal):
    """A checkpoint that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class Checkpoint:
    """`model.pt`: the weights after the last of `epochs` epochs, and how they came about.

    `state_dict` is that of `training.model.network.build(classes)`, which takes pixels normalised by
    `training.model.network.normalise`; with `unknown`, the last of the classes is the unknown class. `image_size` is
    the side in px of the square the photos were evaluated at. A narrow network (`training.learning.pruning`) has the
    channels inside its blocks as `widths`, and the accuracy 0..1 of the wide one it was made of, on the validation
    photos.
    """

    state_dict: dict[str, Tensor]
    labels: list[str]
    image_size: int
    weights: str
    epochs: int
    seed: int
    precision: str
    dataset_sha256: str
    git_commit: str | None
    widths: list[int] | None = None
    wide_accuracy: float | None = None
    unknown: bool = False

    @property
    def classes(self) -> int:
        """How many classes the network tells apart: one for each label, and the unknown class if it has learned it."""
        return len(self.labels) + self.unknown

    def save(self, path: Path) -> None:
        """Write atomically: a reader sees the old file or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"schema_version": SCHEMA_VERSION, "architecture": ARCHITECTURE} | asdict(self)
        remove_abandoned(path.parent)
        with whole_file(path) as part, part.open("wb") as stream:
            torch.save(record, stream)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a checkpoint; raises CheckpointError for a file that is none or of another architecture."""
        try:
            record: Any = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}; run `python -m training fit` first") from error
        except Exception as error:  # torch.load raises what the unpickler raises
            raise CheckpointError(
                f"{path}: is not a PyTorch checkpoint ({type(error).__name__}); train again"
            ) from error
        if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
            raise CheckpointError(f"{path}: is not a checkpoint that this release wrote; train again")
        if record.get("architecture") != ARCHITECTURE:
            raise CheckpointError(
                f"{path}: holds a {record.get('architecture')}, expected a {ARCHITECTURE}; train again"
            )
        missing = {field.name for field in fields(cls) if field.default is MISSING} - record.keys()
        if missing:
            raise CheckpointError(f"{path}: lacks {', '.join(sorted(missing))}; train again")
        checkpoint = cls(**{field.name: record[field.name] for field in fields(cls) if field.name in record})
        try:
            checkpoint.network()
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise CheckpointError(
                f"{path}: its weights do not fit a {ARCHITECTURE} of {checkpoint.classes} classes ({reason}); "
                "train again"
            ) from error
        return checkpoint

    def require_dataset(self, labels: list[str], sha256: str) -> None:
        """Raise CheckpointError unless this was trained on the dataset with these labels and this hash."""
        if self.labels != labels:
            raise CheckpointError(
                f"the checkpoint's classes are {', '.join(self.labels)}, the dataset's {', '.join(labels)}; "
                "train on this dataset"
            )
        if self.dataset_sha256 != sha256:
            raise CheckpointError(
                f"the checkpoint was trained on dataset {self.dataset_sha256[:8]}, this one is {sha256[:8]}: its "
                "validation photos may have been trained on; train on this dataset"
            )

    def network(self) -> nn.Module:
        """The trained network, ready to predict."""
        network = build(self.classes, widths=self.widths)
        network.load_state_dict(self.state_dict)
        return network.eval()


def git_commit() -> str | None:
    """The commit of the code that runs, where it runs from a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
