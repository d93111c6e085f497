"""Command `python -m export release`: compare, publish, register."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from export.commands.compare import judged
from export.commands.options import bundle_argument, replace_option, tolerance_option, validation_option
from runtime.cli.say import say
from training.files import CHECKPOINT

if TYPE_CHECKING:
    from export.gates.champion_challenger import Verdict
    from runtime.bundle.manifest import Bundle
    from training.storage.locations import Places


@click.command("release")
@bundle_argument
@validation_option
@tolerance_option
@replace_option
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=Path("var/training", CHECKPOINT),
    help="Published beside it, if it is there.",
)
@click.option("--register/--no-register", "registers", default=True, help="Also register in MLflow.")
def release_bundle(
    bundle: Path, data: Path, tolerance: float, replace: bool, checkpoint: Path, registers: bool
) -> None:
    """Publish BUNDLE to the models store, and let it be served if it is not worse than what is.

    Appliances that follow the store serve it soon, without a restart. A bundle that is not promoted is stored beside
    the others: `python -m runtime models promote` serves it all the same.
    """
    from export.release.outcome import conclusion
    from export.release.release import release
    from runtime.bundle.manifest import Bundle
    from training.storage.locations import Places

    places = Places.from_environment()
    verdict, tag = judged(bundle, data, tolerance, replace)
    opened = Bundle.open(bundle)
    checked = checkpoint if checkpoint.is_file() else None
    released = release(
        opened, places.models_store, promote=verdict.promote, tag=tag, checkpoint=checked, key=places.signer()
    )
    click.echo(f"made {places.models}/models/{released.version}")
    if registers:
        _register(places, opened, verdict)
    say("\n".join(conclusion(places, opened.manifest, {"reason": verdict.reason, "champion": verdict.champion})))


def _register(places: Places, bundle: Bundle, verdict: Verdict) -> None:
    from export.release.register import register
    from training.tracking.server import Tracker

    resume = f"the model is published; run `python -m export release {quote(str(bundle.path))}` again"
    tracker = Tracker(places.tracking, product=bundle.manifest.name, resume=resume)
    tags = {"store": places.models}
    registered = register(tracker, bundle, promoted=verdict.promote, reason=verdict.reason, tags=tags)
    click.echo(f"{bundle.manifest.name} {registered.version} is the {registered.alias}: {registered.url}")
