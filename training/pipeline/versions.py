"""Names of model versions: the day of a checkpoint, and a hash; known before a bundle is made, for its MLflow run."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from training.pipeline.runs import Run
from training.storage.hashing import sha256_of


def version_of(checkpoint: Path) -> str:
    """The version of a checkpoint that was trained by hand: its day (UTC) and its hash."""
    day = datetime.fromtimestamp(checkpoint.stat().st_mtime, UTC)
    return f"{day:%Y%m%d}-{sha256_of(checkpoint)[:8]}"


def run_version(run: Run, tree: str, checkpoint: Path) -> str:
    """The version of a pipeline run: the day on which `tree` was handed on, and a hash of the checkpoint and the run.

    Always the same for the run, and that of no other run.
    """
    index = run.index(tree)
    day = index.created[:10].replace("-", "") if index else "00000000"
    digest = hashlib.sha256(f"{sha256_of(checkpoint)} {run.name}".encode()).hexdigest()
    return f"{day}-{digest[:8]}"
