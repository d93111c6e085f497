"""What a model is called: one rule for manifest, MLflow, protocol and stores."""

from __future__ import annotations

import pytest

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from training.product import ProductError, checked_product, product_name
from training.storage.locations import Places


def test_the_public_photos_have_their_name_and_others_another() -> None:
    assert product_name(["grass", "dandelion"]) == "dandelion-classifier"
    assert product_name(["robin", "wren"]) == "photo-classifier"
    assert product_name(["dandelion", "daisy", "grass"]) == "photo-classifier"
    assert product_name(["robin", "wren"], asked="birds") == "birds"


def test_the_shipped_bundle_is_the_public_product() -> None:
    manifest = Bundle.open(default_bundle()).manifest
    assert product_name(manifest.labels) == manifest.name


def test_the_name_of_the_model_that_serves_goes_on_with_its_labels() -> None:
    from msgspec.structs import replace

    serving = replace(Bundle.open(default_bundle()).manifest, name="birds", labels=["café", "wren"])
    assert product_name(["wren", "cafe\u0301"], serving=serving) == "birds"
    assert product_name(["robin", "wren"], serving=serving) == "photo-classifier"
    assert product_name(["wren", "café"], asked="others", serving=serving) == "others"


@pytest.mark.parametrize(
    "name", ["", "../birds", "my birds", "-birds", ".birds", "b/c", "a:b", "bird's", "b\n", "b" * 101]
)
def test_a_name_that_does_not_fit_everywhere_is_refused(name: str) -> None:
    with pytest.raises(ProductError, match="DANDELION_PRODUCT"):
        checked_product(name)
    if name:
        with pytest.raises(ProductError):
            Places.from_environment({"DANDELION_PRODUCT": name})


def test_the_photos_of_each_product_have_a_place_of_their_own() -> None:
    places = Places.from_environment({})
    trees = {places.of(name).tree("raw") for name in ("dandelion-classifier", "birds", "birds2")}
    assert trees == {"raw", "products/birds/raw", "products/birds2/raw"}
