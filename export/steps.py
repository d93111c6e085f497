"""Pipeline tasks of the export half: idempotent, JSON in and out."""

from __future__ import annotations

from functools import partial
from typing import Any

from training.files import CHECKPOINT
from training.pipeline.runs import Run, prune_runs
from training.pipeline.steps import TRAINING, dataset_of
from training.pipeline.taught import learned
from training.pipeline.versions import run_version
from training.storage.locations import Places

BUNDLE = "bundle"

Result = dict[str, Any]


def export(places: Places, run: str, *, dataset: str, mlflow_run: str | None, min_accuracy: float | None) -> Result:
    """Make the bundle of the run's checkpoint, through all gates, and hand it on. One that was made stays as it is."""
    from export.bundle.build import build
    from export.gates.quality_gates import Limits
    from training.model.checkpoint import Checkpoint

    this = Run(places, run)
    checkpoint = this.restore(TRAINING) / CHECKPOINT
    version = run_version(this, TRAINING, checkpoint)
    if not _is_made(this, version):
        folder = this.folder / BUNDLE / version
        if not folder.exists():
            build(
                Checkpoint.load(checkpoint),
                dataset_of(places, run, dataset),
                folder,
                limits=Limits(min_accuracy=min_accuracy),
                name=places.product,
                mlflow_run=mlflow_run,
                say=print,
            )
        this.save(BUNDLE)
    metrics = _bundle(this).manifest.metrics
    return {
        "version": version,
        "accuracy": metrics.int8.accuracy,
        "f1": metrics.int8.f1,
        "fp32_accuracy": metrics.fp32 and metrics.fp32.accuracy,
        "agreement": metrics.agreement,
    }


def gate(
    places: Places, run: str, *, dataset: str, tolerance: float, replace: bool = False, asked: str | None = None
) -> Result:
    """Compare the run's bundle with the version that serves, photo by photo; see `judge`."""
    import msgspec

    from export.release.release import judge

    photos, bundle = dataset_of(places, run, dataset), _bundle(Run(places, run))
    cache = places.work / "champions"
    flags: Result = {"tolerance": tolerance, "replace": replace, "asked": asked}
    judged = judge(bundle, places.models_store, photos, cache, **flags, learned=partial(learned, places))
    fields: Result = msgspec.to_builtins(judged.verdict)
    return fields | {"pointer_tag": judged.tag}


def publish(places: Places, run: str, *, verdict: Result) -> Result:
    """Put the bundle into the models store, and where the verdict says so, point at it; prune old versions.

    The pointer must still be the one that the verdict was made against: Conflict else, and the gate asks again.
    """
    from export.release.release import release

    this = Run(places, run)
    checkpoint = this.restore(TRAINING) / CHECKPOINT
    promote, tag = verdict["promote"], verdict["pointer_tag"]
    released = release(
        _bundle(this), places.models_store, promote=promote, tag=tag, checkpoint=checkpoint, key=places.signer()
    )
    return {"uri": places.models, **released._asdict()}


def register(places: Places, run: str, *, verdict: Result, tags: dict[str, str]) -> Result:
    """Register the bundle with its alias and the reason; the trees of old runs go."""
    from export.release.register import register as register_bundle
    from training.tracking.server import Tracker

    bundle = _bundle(Run(places, run))
    resume = "the model is published; run the task `register` again"
    tracker = Tracker(places.tracking, product=bundle.manifest.name, resume=resume)
    registered = register_bundle(
        tracker,
        bundle,
        promoted=verdict["promote"],
        reason=verdict["reason"],
        tags={"store": places.models, **tags},
    )
    prune_runs(places)
    return {
        "registered": bundle.manifest.name,
        "version": registered.version,
        "alias": registered.alias,
        "reason": verdict["reason"],
        "url": registered.url,
    }


def _is_made(run: Run, version: str) -> bool:
    index = run.index(BUNDLE)
    return index is not None and all(path.startswith(f"{version}/") for path in index.files)


def _bundle(run: Run) -> Any:
    from runtime.bundle.manifest import Bundle

    (folder,) = (path for path in run.restore(BUNDLE).iterdir() if path.is_dir())
    return Bundle.open(folder)


def conclude(places: Places, run: str, *, verdict: Result, source: str | None) -> list[str]:
    """What serves now and why, in lines for people."""
    from export.release.outcome import conclusion

    return conclusion(places, _bundle(Run(places, run)).manifest, verdict, source=source)
