"""Storage locations: data store, models store, work folder and tracking server, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runtime.names import DEFAULT_PRODUCT
from runtime.registry.signature import SIGNING_VARIABLE, signing_key
from runtime.store import Store, open_store
from runtime.store.data_trees import data_tree
from training.product import PRODUCT_VARIABLE, checked_product

if TYPE_CHECKING:
    from nacl.signing import SigningKey

DATA = "var/store/dandelion-data"
MODELS = "var/store/dandelion-models"
WORK = "var/pipeline"
TRACKING = "var/mlflow"


@dataclass(frozen=True)
class Places:
    """`data` and `models` are folders or s3://bucket/prefix; `tracking` is what MLflow takes; `work` is scratch.

    `signing_key` is the private key, or its file, that signs what is published; None where nothing is signed.
    `product` is whose photos and models they are: several products may share the stores and the tracking server.
    """

    data: str
    models: str
    work: Path
    tracking: str
    signing_key: str | None = None
    product: str = DEFAULT_PRODUCT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """DANDELION_DATA, DANDELION_MODELS, DANDELION_WORK, MLFLOW_TRACKING_URI; what is not set lies under ./var.

        And DANDELION_SIGNING_KEY, without which nothing is signed; DANDELION_PRODUCT, else the public photos' product.
        """
        here = Path.cwd()
        tracking = here / TRACKING / "mlflow.db"
        return cls(
            data=environment.get("DANDELION_DATA") or str(here / DATA),
            models=environment.get("DANDELION_MODELS") or str(here / MODELS),
            work=Path(environment.get("DANDELION_WORK") or here / WORK),
            tracking=environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{tracking}",
            signing_key=environment.get(SIGNING_VARIABLE) or None,
            product=checked_product(environment.get(PRODUCT_VARIABLE) or DEFAULT_PRODUCT),
        )

    def of(self, product: str) -> Self:
        """The same places, for another product."""
        return replace(self, product=product)

    def tree(self, name: str) -> str:
        """The prefix in the data store of one of the product's trees, `raw` or `processed`."""
        return data_tree(self.product, name)

    @property
    def data_store(self) -> Store:
        """The store of photos and of what a run's tasks hand on."""
        return open_store(self.data)

    @property
    def models_store(self) -> Store:
        """The store of published models."""
        return open_store(self.models)

    def signer(self) -> SigningKey | None:
        """What signs bundles and pointers; raises BadKey where it cannot be read."""
        return signing_key(self.signing_key) if self.signing_key else None
