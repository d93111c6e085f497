from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from runtime.inference.predictions import Prediction
from runtime.serving.monitoring.metrics import Metrics
from ui.appliance.scrape import asked, cpu, parse, percentile, rate


def scrape(metrics: Metrics, at: float):
    return parse(generate_latest(metrics.registry).decode(), at)


def observe(metrics: Metrics, seconds: float, times: int) -> None:
    prediction = Prediction("grass", 0.9, {"grass": 0.9, "dandelion": 0.1}, uncertain=False)
    for _ in range(times):
        metrics.count(prediction, 0.5, {"total": seconds})
        metrics.requests.labels("/predict", "POST", 200).inc()
        metrics.requests.labels("/metrics", "GET", 200).inc()


def test_percentiles_are_of_what_happened_between_two_scrapes():
    metrics = Metrics()
    observe(metrics, 0.9, 50)
    before = scrape(metrics, 100.0).buckets("dandelion_stage_seconds", stage="total")
    observe(metrics, 0.006, 100)
    now = scrape(metrics, 110.0).buckets("dandelion_stage_seconds", stage="total")
    median = percentile(0.5, now, before)
    assert median is not None
    assert 0.005 < median <= 0.0075
    assert percentile(0.5, now, now) is None
    assert percentile(0.9, {}, {}) is None


def test_a_percentile_beyond_the_last_bound_is_the_last_bound():
    assert percentile(0.5, {1.0: 0.0, float("inf"): 10.0}, {}) == 1.0


def test_the_rate_counts_photos_and_not_the_looks_themselves():
    metrics = Metrics()
    before = scrape(metrics, 100.0)
    observe(metrics, 0.01, 30)
    now = scrape(metrics, 110.0)
    assert asked(now) == 30
    assert rate(now, before) == pytest.approx(3.0)
    assert rate(before, now) == 0.0  # a restart is no negative rate
    assert cpu(now, before) >= 0
    assert now.by("dandelion_predictions_total", "label") == {"grass": 30}


@pytest.mark.parametrize("text", ["", "<html>nothing</html>", "other_metric 1\n"])
def test_what_is_no_appliance_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  # the parser's own come in several wordings
        parse(text, 0.0)
