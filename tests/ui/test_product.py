"""What the page says of a product, by its bundle, its name and its labels."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.names import DEFAULT_PRODUCT
from ui.view.language import Texts
from ui.view.product import Product, isolated

EN, FR = Texts("en"), Texts("fr")
MEADOW = Product(DEFAULT_PRODUCT, ("dandelion", "grass"))


def test_the_default_product_has_texts_of_its_own():
    assert (MEADOW.title(EN), MEADOW.headline(EN), MEADOW.drawing) == ("Dandelion", "Dandelion or grass?", "meadow")
    assert (MEADOW.title(FR), MEADOW.headline(FR)) == ("Pissenlit", "Pissenlit ou herbe ?")
    assert MEADOW.names("fr") == {"dandelion": "Pissenlit", "grass": "Herbe"}
    assert "lawn" in MEADOW.words(EN, "classify")["lead"]
    assert MEADOW.file_name == DEFAULT_PRODUCT


@pytest.mark.parametrize(
    ("labels", "english", "french"),
    [
        (("robin", "wren"), "robin or wren?", "robin ou wren ?"),
        (("a b", "blue_tit", "Ä"), "a b, blue_tit or Ä?", "a b, blue_tit ou Ä ?"),
        (("a", "b", "c", "d"), "What is in this photo?", "Que montre cette photo ?"),
        (("x" * 40, "y" * 40), "What is in this photo?", "Que montre cette photo ?"),
        (("عصفور", "robin"), "\u2068عصفور\u2069 or robin?", "\u2068عصفور\u2069 ou robin ?"),
        ((), "What is in this photo?", "Que montre cette photo ?"),
        (("dandelion", "rose"), "dandelion or rose?", "dandelion ou rose ?"),
    ],
)
def test_the_headline_follows_from_the_classes_as_they_were_typed(labels: tuple[str, ...], english: str, french: str):
    product = Product("garden", labels)
    assert (product.headline(EN), product.headline(FR)) == (english, french)
    assert product.names("fr") == {}
    assert product.drawing == "lens"


@pytest.mark.parametrize(
    ("name", "title", "file_name"),
    [
        ("garden-birds", "Garden birds", "garden-birds"),
        ("iOS_v2", "IOS v2", "iOS_v2"),
        (DEFAULT_PRODUCT, "Image classifier", "photos"),  # classes of one's own under the name that nobody changed
        ("", "Image classifier", "photos"),
    ],
)
def test_the_title_follows_from_the_name(name: str, title: str, file_name: str):
    product = Product(name, ("a", "b"))
    assert (product.title(EN), product.file_name) == (title, file_name)


def answer(**display: str) -> dict[str, Any]:
    """What `GET /model` answers, as far as the page asks."""
    manifest = {"name": "birds", "labels": ["a", "b"], "files": {"picture.svg": {"sha256": "ab" * 32}}}
    return {"manifest": manifest | ({"display": display} if display else {}), "serving": {"abstain_threshold": 0.6}}


def test_what_the_bundle_says_comes_first():
    product = Product.of(answer(title="Vögel", headline="Welcher Vogel?", picture="picture.svg"))
    assert (product.title(FR), product.headline(FR), product.picture) == ("Vögel", "Welcher Vogel?", "ab" * 8)
    assert Product.of(answer()) == Product("birds", ("a", "b"), 0.6)


def test_the_threshold_of_the_unknown_class_is_known_if_there_is_one():
    model = answer()
    assert Product.of(model).unknown_threshold == 0.0
    model["manifest"]["unknown"] = {"threshold": 0.7, "metrics": None}
    assert Product.of(model).unknown_threshold == 0.7


def test_only_what_is_written_from_right_to_left_is_set_apart():
    assert isolated("robin é") == "robin é"
    assert isolated("عصفور") == "\u2068عصفور\u2069"
