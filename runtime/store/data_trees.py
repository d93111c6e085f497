"""Prefixes of the photos in the data store: `taught`, `raw` and `processed` of each product."""

from __future__ import annotations

from runtime.names import DEFAULT_PRODUCT

PRODUCTS = "products"
TAUGHT = "taught"  # photos that a model was taught from on an appliance, which alone writes this tree


def data_tree(product: str, name: str) -> str:
    """The prefix of one of a product's trees, `taught`, `raw` or `processed`.

    The default product's lie where they always lay; those of another, which they never mix with, below `products/`.
    """
    return name if product == DEFAULT_PRODUCT else f"{PRODUCTS}/{product}/{name}"
