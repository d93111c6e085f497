"""The checkpoint: a trained network with all that is needed to use it, repeat it or refuse it."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from runtime.commands import Refusal
from training.network import ARCHITECTURE, build

SCHEMA_VERSION = 1


class CheckpointError(Refusal):
    """A checkpoint that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class Checkpoint:
    """`best_model.pt`: the weights of the best epoch and how they came about.

    `state_dict` is that of `training.network.build(len(labels))`, which takes pixels normalised by
    `training.network.normalise`; `image_size` is the side in px of the square the photos were evaluated at.
    """

    state_dict: dict[str, Tensor]
    labels: list[str]
    image_size: int
    weights: str
    epochs: int
    best_epoch: int
    seed: int
    precision: str
    dataset_sha256: str
    git_commit: str | None

    def save(self, path: Path) -> None:
        """Write atomically: a reader sees the old file or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        record = {"schema_version": SCHEMA_VERSION, "architecture": ARCHITECTURE} | asdict(self)
        torch.save(record, partial)
        partial.replace(path)

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
        names = {field.name for field in fields(cls)}
        if names - record.keys():
            raise CheckpointError(f"{path}: lacks {', '.join(sorted(names - record.keys()))}; train again")
        checkpoint = cls(**{name: record[name] for name in names})
        try:
            checkpoint.network()
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise CheckpointError(
                f"{path}: its weights do not fit a {ARCHITECTURE} of {len(checkpoint.labels)} classes ({reason}); "
                "train again"
            ) from error
        return checkpoint

    def network(self) -> nn.Module:
        """The trained network, ready to predict."""
        network = build(len(self.labels))
        network.load_state_dict(self.state_dict)
        return network.eval()


def git_commit() -> str | None:
    """The commit of the code that runs, where it runs from a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
