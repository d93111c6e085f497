"""Sample photos of the page: drawn, known to the default model, and its alone."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.image import decode
from runtime.inference.backends import open_validated
from tests.ui.pictures.samples import DRAWN, FOLDER, draw
from ui.pages.classify import SAMPLES, samples_of
from ui.view.product import Product


@pytest.mark.thorough
def test_the_sample_photos_are_what_the_script_draws():
    assert tuple(DRAWN) == SAMPLES
    for name in SAMPLES:
        stream = io.BytesIO()
        draw(name).save(stream, "WEBP", quality=72)
        kept = Image.open(FOLDER / f"{name}.webp")
        drawn, again = np.asarray(kept, np.float32), np.asarray(Image.open(stream), np.float32)
        assert np.abs(drawn - again).mean() < 4, name  # encoders differ a little from release to release


def test_the_default_model_is_sure_of_every_sample():
    bundle = Bundle.open(default_bundle())
    session = open_validated(bundle, threads=1).session
    for name in SAMPLES:
        pixels = decode((FOLDER / f"{name}.webp").read_bytes(), bundle.manifest.input)
        probabilities = session.infer(pixels[np.newaxis]).probabilities[0]
        expected = "grass" if name == "grass" else "dandelion"
        assert bundle.manifest.labels[int(probabilities.argmax())] == expected
        assert probabilities.max() > bundle.manifest.abstain_threshold


@pytest.mark.parametrize(("labels", "shown"), [(("dandelion", "grass"), True), (("robin", "wren"), False)])
def test_samples_are_offered_by_a_model_that_knows_what_they_show(labels: tuple[str, ...], shown: bool):
    found = samples_of("/meadow", Product(labels=labels))
    assert bool(found) is shown
    assert all(url.startswith("/meadow/ui/static/samples/") for url in found)
