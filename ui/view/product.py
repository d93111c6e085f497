"""The product that an appliance serves, as pages show it: by the bundle's display block, else by name and labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.names import DEFAULT_LABELS, DEFAULT_PRODUCT
from ui.view.language import Texts

FEW = 3  # classes that fit into a headline
LONG = 48  # characters of classes that do not
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")


class Product(NamedTuple):
    """What is known of it; empty while nothing is.

    `picture` is a hash of the picture's bytes, empty if it has none; `unknown_threshold` is the probability from which
    a photo shows none of the labels, 0 if the model has no such answer.
    """

    name: str = ""
    labels: tuple[str, ...] = ()
    threshold: float = 0.0
    own_title: str = ""
    own_headline: str = ""
    picture: str = ""
    unknown_threshold: float = 0.0

    @classmethod
    def of(cls, model: Mapping[str, Any]) -> Product:
        """From the answer of `GET /model`. Raises KeyError, TypeError or ValueError for anything else."""
        manifest = model["manifest"]
        display = manifest.get("display") or {}
        picture = display.get("picture")
        return cls(
            str(manifest["name"]),
            tuple(str(label) for label in manifest["labels"]),
            float(model["serving"]["abstain_threshold"]),
            str(display.get("title") or ""),
            str(display.get("headline") or ""),
            str(manifest["files"][picture]["sha256"])[:16] if picture else "",
            float((manifest.get("unknown") or {}).get("threshold", 0.0)),
        )

    @property
    def is_meadow(self) -> bool:
        """Whether it tells dandelions from grass, for which there are texts and drawings."""
        return tuple(sorted(self.labels)) == DEFAULT_LABELS

    @property
    def drawing(self) -> str:
        """Which drawing stands where the product has no picture."""
        return "meadow" if self.is_meadow else "lens"

    @property
    def file_name(self) -> str:
        """How the name of a downloaded file begins."""
        return self.name if self.name and (self.is_meadow or self.name != DEFAULT_PRODUCT) else "photos"

    def title(self, text: Texts) -> str:
        """What the page is called."""
        if self.own_title:
            return self.own_title
        if self.name == DEFAULT_PRODUCT and self.is_meadow:
            return text("meadow.title")
        words = " ".join(re.split(r"[-_.]+", self.name)).strip()
        return words[:1].upper() + words[1:] if words and self.name != DEFAULT_PRODUCT else text("app.name")

    def headline(self, text: Texts) -> str:
        """The first line of the page."""
        if self.own_headline:
            return self.own_headline
        if self.is_meadow:
            return text("meadow.headline")
        labels = [isolated(label) for label in self.labels]
        if not 2 <= len(labels) <= FEW or len("".join(labels)) > LONG:
            return text("classify.headline")
        return text("app.choice", first=", ".join(labels[:-1]), last=labels[-1])

    def names(self, language: str) -> dict[str, str]:
        """The classes that are called otherwise in this language; classes of one's own are shown as they were typed."""
        if not self.is_meadow:
            return {}
        text = Texts(language)
        return {label: text(f"meadow.{label}") for label in DEFAULT_LABELS}

    def words(self, text: Texts, page: str) -> dict[str, str]:
        """The texts of a page's script that the product decides."""
        words = {"headline": self.headline(text)} if page == "classify" else {}
        return words | ({"lead": text(f"meadow.{page}_lead")} if self.is_meadow else {})


def isolated(text: str) -> str:
    """A text within another, which it does not turn around if it is written from right to left."""
    return f"\u2068{text}\u2069" if _RIGHT_TO_LEFT.search(text) else text
