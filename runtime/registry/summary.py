"""Summaries of model versions for lists: a few figures of each manifest, which may be much larger."""

from __future__ import annotations

import msgspec

from runtime.bundle.manifest import MODEL, BundleError, Manifest, Taught, UnknownMetrics
from runtime.registry.catalogue import Catalogue
from runtime.store import Missing

NEWEST = 50  # versions that are described: each costs a look into the store, once


class Summary(msgspec.Struct, frozen=True):
    """One version; accuracy and F1 are of INT8 on its validation photos, `accuracy_loss` against its FP32.

    A model that was `taught` on an appliance has no FP32: then `agreement` and `accuracy_loss` are None.
    `size_bytes` are those of all files, `model_bytes` those of the INT8 model, which is what serves. `unknown` is
    whether it can answer that a photo is of none of the labels, `unknown_metrics` how good it is at that if known.
    """

    name: str
    version: str
    labels: list[str]
    unknown: bool
    unknown_metrics: UnknownMetrics | None
    created: str
    accuracy: float
    f1: float
    agreement: float | None
    accuracy_loss: float | None
    size_bytes: int
    model_bytes: int
    image_size: int
    dataset_sha256: str
    mlflow_run: str | None
    taught: Taught | None


def summary_of(manifest: Manifest) -> Summary:
    """The figures of one manifest."""
    metrics = manifest.metrics
    return Summary(
        name=manifest.name,
        version=manifest.version,
        labels=manifest.labels,
        unknown=manifest.unknown is not None,
        unknown_metrics=manifest.unknown.metrics if manifest.unknown else None,
        created=manifest.created,
        accuracy=metrics.int8.accuracy,
        f1=metrics.int8.f1,
        agreement=metrics.agreement,
        accuracy_loss=round(metrics.fp32.accuracy - metrics.int8.accuracy, 6) if metrics.fp32 else None,
        size_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
        model_bytes=manifest.files[MODEL].size_bytes,
        image_size=manifest.input.height,
        dataset_sha256=manifest.dataset.sha256,
        mlflow_run=manifest.mlflow_run,
        taught=manifest.taught,
    )


class Summaries:
    """A cache of the newest versions of a store, as of the last refresh."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Nothing is asked yet."""
        self._catalogue = catalogue
        self.known: dict[str, Summary] = {}

    def refresh(self) -> None:
        """Refresh from the store; known versions are not read again, since they are immutable. Raises StoreError."""
        found: dict[str, Summary] = {}
        for version in self._catalogue.versions()[-NEWEST:]:
            summary = self.known.get(version) or self._ask(version)
            if summary:
                found[version] = summary
        self.known = found

    def of(self, version: str) -> Summary:
        """One version; raises Missing, BundleError, StoreError."""
        return self.known.get(version) or summary_of(self._catalogue.manifest(version)[1])

    def _ask(self, version: str) -> Summary | None:
        try:
            return summary_of(self._catalogue.manifest(version)[1])
        except (BundleError, Missing):  # what it is, is said when it is asked for
            return None
