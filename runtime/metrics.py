"""What Prometheus sees. Labels stay few: route templates, statuses, stages, class labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from runtime.answers import Prediction
from runtime.drift import Drift
from runtime.model import Model

# Seconds, from a thumbnail on a fast core to a request that should have been refused.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CONFIDENCE_BUCKETS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
STAGES = ("read", "queue", "decode", "infer", "total")
REJECTIONS = ("queue", "memory", "client_gone", "upload_timeout", "key")
RELOADS = ("loaded", "refused", "unreachable")
FEEDBACK = ("stored", "spooled", "refused")

Labelled = TypeVar("Labelled", Counter, Histogram)


class Metrics:
    """The metrics of one serving process, in a registry of its own."""

    def __init__(self) -> None:
        """Register everything, so that a scrape before the first request shows the names."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("requests", "HTTP requests answered", "route", "method", "status")
        self.request_seconds = self._histogram(
            "request_seconds", "From the first byte of a request to the head of its answer", LATENCY_BUCKETS, "route"
        )
        self._in_flight = 0
        self._gauge("in_flight", "HTTP requests being answered").set_function(lambda: self._in_flight)
        self.stage_seconds = self._histogram(
            "stage_seconds", "Time in one stage of a prediction", LATENCY_BUCKETS, "stage", stage=STAGES
        )
        self._stages = {stage: self.stage_seconds.labels(stage) for stage in STAGES}  # to look one up takes a while
        self._routes: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.queue_depth = self._gauge("queue_depth", "Photos that wait for a worker")
        self.rejections = self._counter("rejections", "Requests turned away, by reason", "reason", reason=REJECTIONS)
        self.model = self._gauge("model_info", "1 for the model that serves", "name", "version", "precision", "kernel")
        self.reloads = self._counter("reloads", "New models met, by what became of them", "outcome", outcome=RELOADS)
        self.predictions = self._counter("predictions", "Photos classified", "label", "uncertain")
        self.confidence = self._histogram("confidence", "Probability of the predicted label", CONFIDENCE_BUCKETS)
        self.drift = self._gauge(
            "drift",
            "Population stability index of the last photos against validation; above 0.25 much has changed",
            "signal",
        )
        self.feedback = self._counter(
            "feedback", "Corrected photos, by what became of them", "outcome", outcome=FEEDBACK
        )
        self.feedback_spooled = self._gauge("feedback_spooled", "Corrected photos that wait on disk for the store")
        self._drift: Drift | None = None

    def serve(self, model: Model) -> None:
        """Announce the model that serves from now on, with every prediction counter at zero."""
        self.model.clear()
        self.model.labels(model.name.name, model.name.version, model.kernel.precision, model.kernel.kernel).set(1)
        for label in model.manifest.labels:
            for uncertain in ("true", "false"):
                self.predictions.labels(label, uncertain)
        self._drift = Drift(model.manifest.reference)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """In the event loop: a request is being answered."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def refresh(self, *, waiting: int) -> None:
        """Bring the gauges up to date before a scrape; `waiting` photos have no worker yet."""
        self.queue_depth.set(waiting)
        if self._drift:
            for signal, index in self._drift.indices().items():
                self.drift.labels(signal).set(index)

    def count(self, prediction: Prediction, brightness: float, stages: Mapping[str, float]) -> None:
        """Record one prediction; `brightness` is 0..1, `stages` seconds."""
        self.predictions.labels(prediction.label, str(prediction.uncertain).lower()).inc()
        self.confidence.observe(prediction.confidence)
        if self._drift:
            self._drift.see(prediction.label, prediction.confidence, brightness)
        for stage, seconds in stages.items():
            self.observe(stage, seconds)

    def observe(self, stage: str, seconds: float) -> None:
        """Record the time of one of STAGES."""
        self._stages[stage].observe(seconds)

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Record an answered request; `route` is its template, `seconds` the time until the head of its answer."""
        key = (route, method, status)
        if key not in self._routes:
            self._routes[key] = (self.requests.labels(*key), self.request_seconds.labels(route))
        counter, histogram = self._routes[key]
        counter.inc()
        histogram.observe(seconds)

    def _counter(self, name: str, text: str, *labels: str, **known: tuple[str, ...]) -> Counter:
        return _zero(Counter(f"dandelion_{name}", text, labels, registry=self.registry), known)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"dandelion_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str, **known: tuple[str, ...]
    ) -> Histogram:
        return _zero(Histogram(f"dandelion_{name}", text, labels, buckets=buckets, registry=self.registry), known)


def _zero(metric: Labelled, known: Mapping[str, tuple[str, ...]]) -> Labelled:
    """Show the label values that are known beforehand from the start: a rate needs its first zero."""
    for label, values in known.items():
        for value in values:
            metric.labels(**{label: value})
    return metric
