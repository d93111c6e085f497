"""Product names: what a model is called in its manifest, by the Open Inference Protocol, in MLflow and the stores."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.bundle.manifest import Manifest
from runtime.errors import Refusal
from runtime.names import DEFAULT_LABELS, DEFAULT_PRODUCT, MAX_NAME, composed, is_name

PRODUCT_VARIABLE = "DANDELION_PRODUCT"
OWN = "photo-classifier"  # of any other photos, unless they are given a name


class ProductError(Refusal):
    """A name that cannot be a product's."""


def checked_product(name: str) -> str:
    """`name`, fit for a path, a key of S3, MLflow and the Open Inference Protocol. Raises ProductError."""
    if not is_name(name):
        raise ProductError(
            f"{name[:MAX_NAME]!r} cannot be the name of a product ({PRODUCT_VARIABLE}); take letters, digits, dots, "
            f"dashes and underscores, {MAX_NAME} at most, and begin with a letter or a digit"
        )
    return name


def product_name(labels: Iterable[str], *, asked: str | None = None, serving: Manifest | None = None) -> str:
    """The name of the product with these labels. Raises ProductError.

    It is what was `asked` for; else that of the model that is `serving`, if it has the same labels; else a default.
    """
    if asked:
        return checked_product(asked)
    labels = list(labels)
    if serving and same_labels(labels, serving.labels):
        return serving.name
    return DEFAULT_PRODUCT if same_labels(labels, DEFAULT_LABELS) else OWN


def same_labels(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether both name the same classes, in whatever order and normal form."""
    return sorted(map(composed, some)) == sorted(map(composed, others))
