"""From a bundle to the models store: judged against the version that is served, then published as the verdict says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from export.promote import TOLERANCE, Verdict, compare
from runtime.bundle import Bundle
from runtime.models.cache import Cache
from runtime.models.catalogue import Catalogue
from runtime.models.publish import add, prune, publish
from runtime.store import Store
from training.dataset import Dataset


class Judged(NamedTuple):
    """A verdict, and the tag of the pointer that it was made against, which must not have moved when it is acted on."""

    verdict: Verdict
    tag: str | None


class Released(NamedTuple):
    """What is in the store now: whether the pointer names the version, and the versions that were pruned."""

    version: str
    pointed: bool
    pruned: list[str]


def judge(bundle: Bundle, models: Store, dataset: Dataset, cache: Path, *, tolerance: float = TOLERANCE) -> Judged:
    """Compare with the version that `models` says to serve, which is brought into `cache`; see `compare`."""
    catalogue = Catalogue(models)
    tag, latest = catalogue.tag(), catalogue.latest()
    champion = None
    if latest:
        champion = Cache(cache).pull(catalogue, latest.version, manifest_sha256=latest.manifest_sha256)
    return Judged(compare(bundle, champion, dataset, tolerance=tolerance), tag)


def release(bundle: Bundle, models: Store, *, promote: bool, tag: str | None, checkpoint: Path | None) -> Released:
    """Put the bundle into the store, and where it is promoted, point at it; then prune what nothing needs.

    Raises BundleError, StoreError, and Conflict where the pointer is no longer the one with `tag`: judge again.
    """
    latest = Catalogue(models).latest()
    if promote:
        publish(bundle.path, models, checkpoint=checkpoint, tag=tag)
    else:
        add(bundle.path, models, checkpoint=checkpoint)
    version = bundle.manifest.version
    in_use = frozenset({version} | ({latest.version} if latest else set()))
    return Released(version, promote, prune(models, in_use=in_use))
