"""A model in words: what it tells apart, and how good it is."""

from __future__ import annotations

from runtime.bundle.manifest import Manifest


def identity_of(manifest: Manifest) -> str:
    """Name, version, input size and labels of a model."""
    size = f"{manifest.input.width} x {manifest.input.height} px"
    return f"{manifest.name} {manifest.version}: {size}, labels {', '.join(manifest.classes)}"


def quality_of(manifest: Manifest) -> str:
    """How good a model is, on which photos; how it was taught, if it was."""
    metrics, taught = manifest.metrics, manifest.taught
    figures = f"accuracy {metrics.int8.accuracy:.4f}, F1 {metrics.int8.f1:.4f}"
    if taught is None:
        return f"{figures} on {metrics.photos} validation photos (INT8)"
    low, high = taught.interval
    photos = ", ".join(f"{label} {count}" for label, count in taught.photos.items())
    return (
        f"{figures} by {taught.folds}-fold cross-validation ({low:.4f} to {high:.4f}, INT8); taught on an appliance "
        f"from {sum(taught.photos.values())} photos: {photos}"
    )
