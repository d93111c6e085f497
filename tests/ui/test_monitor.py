"""What the Monitor page says of the answers, by the metrics of an appliance."""

from __future__ import annotations

import re

import pytest
from prometheus_client import generate_latest

from runtime.inference.predictions import Prediction
from runtime.names import UNKNOWN
from runtime.serving.monitoring.metrics import Metrics
from ui.appliance.history import Sample, ScrapeHistory
from ui.appliance.presence import Presence
from ui.appliance.scrape import parse
from ui.pages.monitor import PANELS
from ui.view.language import Texts

EN = Texts("en")
GRASS = Prediction("grass", 0.9, {"dandelion": 0.1, "grass": 0.9}, uncertain=False)
OTHER = Prediction(None, 0.8, {"dandelion": 0.1, "grass": 0.1}, uncertain=False, unknown=True, unknown_probability=0.8)


def panel(name: str, *answers: Prediction, has_unknown: bool, text: Texts = EN) -> str:
    """A panel after these answers; `has_unknown` is whether the model has the unknown class."""
    metrics = Metrics()
    for label in ("dandelion", "grass", *([UNKNOWN] if has_unknown else [])):
        metrics.predictions.labels(label, "false", "use")
    for answer in answers:
        metrics.count(answer, 0.5, {"total": 0.01})
    return drawn(name, metrics, text)


def drawn(name: str, metrics: Metrics, text: Texts) -> str:
    """A panel as these metrics make it."""

    async def nobody() -> None:
        raise AssertionError("nobody is asked")

    history = ScrapeHistory(nobody, Presence())  # type: ignore[arg-type]
    history.samples.append(Sample(1.0, parse(generate_latest(metrics.registry).decode(), 1.0)))
    return PANELS[name](history, text)


def rows(markup: str) -> list[tuple[str, str, str]]:
    """The bars of a panel: class, name and value in words."""
    found = re.findall(r'<li class="(.*?)"><span class="bar-name" dir="auto">(.*?)</span>.*?<b>(.*?)</b></li>', markup)
    return [(kind, re.sub("<.*>", "", name), words) for kind, name, words in found]


def test_photos_of_none_of_the_labels_are_part_of_the_mix_in_their_own_colour():
    markup = panel("mix", GRASS, OTHER, OTHER, OTHER, has_unknown=True)
    assert rows(markup) == [("unknown", "None of these", "75%"), ("", "grass", "25%"), ("", "dandelion", "0%")]
    assert "unknown-icon" in markup
    assert "4 photos since the start, 0 of them uncertain, 3 none of these" in markup


def test_without_the_unknown_class_the_mix_says_nothing_of_it():
    markup = panel("mix", GRASS, has_unknown=False)
    assert rows(markup) == [("", "grass", "100%"), ("", "dandelion", "0%")]
    assert "1 photos since the start, 0 of them uncertain<" in markup
    assert "unknown" not in markup


def test_confidence_is_of_the_labels_and_says_how_many_photos_it_leaves_out():
    markup = panel("confidence", GRASS, OTHER, OTHER, has_unknown=True)
    assert "<strong>90.0%</strong>" in markup
    assert "Left out, as they show none of these: 2." in markup
    assert "Left out" not in panel("confidence", GRASS, has_unknown=True)


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "So far, every photo showed something else."), ("fr", "toutes les photos montraient autre chose")],
)
def test_where_every_photo_was_unknown_the_page_does_not_say_that_there_was_none(language: str, words: str):
    assert words in panel("confidence", OTHER, has_unknown=True, text=Texts(language))
    assert "No photo has been classified yet" in panel("confidence", has_unknown=True)


@pytest.mark.parametrize(
    ("kernel", "shown"), [("avxvnni", "AVX-VNNI"), ("dotprod", "ARM dot product"), ("fast", "onnxruntime"), ("x", "x")]
)
def test_the_way_of_computing_is_told_in_words(kernel: str, shown: str):
    metrics = Metrics()
    metrics.model.labels("dandelion", "v1", "int8", kernel).set(1)
    assert f">{shown}<" in drawn("serving", metrics, EN)
