"""Release: compare a bundle with the version that is served, publish it, and promote it if it is not worse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from export.champion_challenger import TOLERANCE, Verdict, compare
from runtime.bundle.manifest import Bundle
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import add, prune, publish
from runtime.store import Store
from training.data.dataset import Dataset

if TYPE_CHECKING:
    from nacl.signing import SigningKey


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
    tag, latest = catalogue.tag(), catalogue.latest()  # in this order: a pointer that moves between them is a Conflict
    champion = None
    if latest:
        champion = Cache(cache).pull(catalogue, latest.version, manifest_sha256=latest.manifest_sha256)
    return Judged(compare(bundle, champion, dataset, tolerance=tolerance), tag)


def release(
    bundle: Bundle,
    models: Store,
    *,
    promote: bool,
    tag: str | None,
    checkpoint: Path | None,
    key: SigningKey | None = None,
) -> Released:
    """Put the bundle into the store, and where it is promoted, point at it; then prune what nothing needs.

    With `key`, bundle and pointer are signed.
    Raises BundleError, StoreError, and Conflict where the pointer is no longer the one with `tag`: judge again.
    """
    latest = Catalogue(models).latest()
    if promote:
        publish(bundle.path, models, checkpoint=checkpoint, tag=tag, key=key)
    else:
        add(bundle.path, models, checkpoint=checkpoint, key=key)
    version = bundle.manifest.version
    in_use = frozenset({version} | ({latest.version} if latest else set()))
    return Released(version, promote, prune(models, in_use=in_use))
