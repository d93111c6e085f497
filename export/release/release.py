"""Release: compare a bundle with the version that is served, publish it, and promote it if it is not worse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from export.gates.champion_challenger import TOLERANCE, Verdict, compare
from export.gates.taught_champion import Learned
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import add, prune, publish
from runtime.store import Store
from training.data.dataset import Dataset
from training.pipeline.serving import serving

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


def judge(
    bundle: Bundle,
    models: Store,
    dataset: Dataset,
    cache: Path,
    *,
    tolerance: float = TOLERANCE,
    replace: bool = False,
    asked: str | None = None,
    learned: Learned = frozenset,
) -> Judged:
    """Compare with the version that serves: what `models` points at, brought into `cache`, else the shipped bundle.

    See `compare`. `replace` lets a model of another product, or of other labels, take its place; so does a product that
    was `asked` for by its name, where it is not the one that serves. `learned` is as `compare` has it.
    """
    now = serving(models)
    if now.pointer is None:
        champion = Bundle.open(default_bundle())
    else:
        version, manifest_sha256 = now.pointer.target
        champion = Cache(cache).pull(Catalogue(models), version, manifest_sha256=manifest_sha256)
    named = asked is not None and asked == bundle.manifest.name != champion.manifest.name
    verdict = compare(bundle, champion, dataset, tolerance=tolerance, replace=replace or named, learned=learned)
    return Judged(verdict, now.tag)


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

    The shipped bundle, which served while the store pointed at nothing, is put beside it, and stays: one can go back.
    With `key`, bundles and pointer are signed.
    Raises BundleError, StoreError, and Conflict where the pointer is no longer the one with `tag`: judge again.
    """
    latest = Catalogue(models).latest()
    if promote:
        if latest is None:
            add(default_bundle(), models, key=key)
        publish(bundle.path, models, checkpoint=checkpoint, tag=tag, key=key)
    else:
        add(bundle.path, models, checkpoint=checkpoint, key=key)
    version = bundle.manifest.version
    in_use = frozenset({version, default_bundle().name} | ({latest.version} if latest else set()))
    return Released(version, promote, prune(models, in_use=in_use))
