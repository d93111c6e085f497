"""Command `python -m export compare`: photo by photo, with the version that is served."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from export.commands.options import bundle_argument, replace_option, tolerance_option, validation_option

if TYPE_CHECKING:
    from export.release.release import Judged


@click.command()
@bundle_argument
@validation_option
@tolerance_option
@replace_option
def compare(bundle: Path, data: Path, tolerance: float, replace: bool) -> None:
    """Compare BUNDLE with the version that serves: the one that the models store says (DANDELION_MODELS, else
    var/store), or the shipped one while it says none.

    Both answer the same validation photos; nothing is changed.
    """
    verdict = judged(bundle, data, tolerance, replace).verdict
    click.echo(f"{'would be promoted' if verdict.promote else 'would not be promoted'}: {verdict.reason}")


def judged(bundle: Path, data: Path, tolerance: float, replace: bool) -> Judged:
    """The comparison of BUNDLE with the version that serves, on the validation photos of `data`."""
    from export.release.release import judge
    from runtime.bundle.manifest import Bundle
    from training.data.dataset import Dataset
    from training.pipeline.taught import learned
    from training.storage.locations import Places

    opened, places = Bundle.open(bundle), Places.from_environment()
    dataset, cache = Dataset.open(data), places.work / "champions"
    known = partial(learned, places.of(opened.manifest.name))
    return judge(opened, places.models_store, dataset, cache, tolerance=tolerance, replace=replace, learned=known)
