"""Write a taught model as an ordinary bundle: the backbone's ONNX file with a new head, and its manifest."""

from __future__ import annotations

from typing import NamedTuple

from runtime.bundle.display import Display


class Identity(NamedTuple):
    """What a taught bundle is called: the model's name, what pages show of it, the data set that it was taught on."""

    name: str
    display: Display | None = None
    dataset: str | None = None
