"""Our histogram against that of `prometheus_client`: the same text for the same observations."""

from __future__ import annotations

import math

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from runtime.serving.monitoring.histogram import Histogram

BUCKETS = (0.001, 0.5, 1.0)
AMOUNTS = (0.0, 0.001, 0.0011, 0.5, 0.7, 1.0, 2.5, math.inf)


@pytest.mark.parametrize("labels", [(), ("stage",), ("stage", "route")])
def test_both_formats_show_what_the_librarys_own_shows(labels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: 1.5e9)
    prometheus_client.disable_created_metrics()
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    values = [tuple(f"{label} {number}" for label in labels) for number in range(2)]
    mine = Histogram("wait_seconds", "The wait", labels, buckets=BUCKETS, registry=ours)
    other = prometheus_client.Histogram("wait_seconds", "The wait", labels, buckets=BUCKETS, registry=theirs)
    for each in values:
        own, known = mine.labels(*each), other.labels(*each) if labels else other
        for number, amount in enumerate(AMOUNTS):
            exemplar = {"request_id": f"kiosk-{number}"} if number % 2 else None
            own.observe(amount, exemplar)
            known.observe(amount, exemplar)
            for text in (generate_latest, generate_openmetrics):
                assert text(ours) == text(theirs)


def test_without_labels_zeros_are_shown_and_with_labels_the_known_ones():
    registry = CollectorRegistry()
    Histogram("plain_seconds", "The wait", buckets=BUCKETS, registry=registry)
    staged = Histogram("staged_seconds", "The wait", ("stage",), buckets=BUCKETS, registry=registry)
    assert registry.get_sample_value("plain_seconds_count") == 0
    assert registry.get_sample_value("staged_seconds_count", {"stage": "read"}) is None
    staged.labels("read")
    assert registry.get_sample_value("staged_seconds_count", {"stage": "read"}) == 0
    assert staged.labels("read") is staged.labels("read")
    with pytest.raises(ValueError, match="has the labels"):
        staged.labels()


def test_a_name_is_registered_once():
    registry = CollectorRegistry()
    Histogram("wait_seconds", "The wait", buckets=BUCKETS, registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Histogram("wait_seconds", "The wait", buckets=BUCKETS, registry=registry)
