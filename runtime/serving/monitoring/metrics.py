"""Prometheus metrics of the serving process; labels have few values: routes, statuses, stages, classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from runtime.image import decoding_memory
from runtime.inference.predictions import Prediction
from runtime.names import UNKNOWN
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.drift import Drift
from runtime.serving.monitoring.histogram import Histogram, Series

# Seconds, from a thumbnail on a fast core to a request that should have been refused.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CONFIDENCE_BUCKETS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
STAGES = ("read", "queue", "decode", "infer", "total")
REJECTIONS = (
    "queue",
    "memory",
    "client_memory",
    "slow_upload",
    "cost",
    "json",
    "client_gone",
    "upload_timeout",
    "key",
    "pixels",
    "wrong_keys",
    "origin",
    "host",
    "page",
    "page_session",
    "hasty",
    "child_died",
)
TRAFFIC = ("use", "measurement")
CONNECTION_LIMITS = ("connections", "head_timeout", "head_size", "pipelining", "unread_answers")
RELOADS = ("loaded", "refused", "unreachable")
TEACH_PHOTOS = ("added", "there_already", "refused")
TEACH_RUNS = ("done", "failed", "cancelled")
TEACH_STAGES = ("features", "run")
TEACH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)  # seconds
INBOX_KEPT = ("uncertain", "unknown")
INBOX_DROPPED = ("there_already", "busy", "too_large", "oldest", "expired", "disk")
FEEDBACK = ("stored", "spooled", "refused", "full", "client_limit")

Labelled = TypeVar("Labelled", Counter, Histogram)


class InFlight:
    """Counts the `with` blocks that are entered and not left; one object for all of them."""

    def __init__(self) -> None:
        """None is entered."""
        self.count = 0

    def __enter__(self) -> None:
        """One more."""
        self.count += 1

    def __exit__(self, *_: object) -> None:
        """One less."""
        self.count -= 1


class Metrics:
    """The metrics of one serving process, in a registry of its own."""

    def __init__(self) -> None:
        """Register everything, so that a scrape before the first request shows the names."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a third of all series, which nobody asks for
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("requests", "HTTP requests answered", "route", "method", "status")
        self.request_seconds = self._histogram(
            "request_seconds",
            "Latency from the first byte of a request to the head of its response",
            LATENCY_BUCKETS,
            "route",
        )
        self._in_flight = InFlight()
        self._gauge("in_flight", "HTTP requests in flight").set_function(lambda: self._in_flight.count)
        self.stage_seconds = self._histogram(
            "stage_seconds", "Latency of one stage of a prediction", LATENCY_BUCKETS, "stage", stage=STAGES
        )
        self._stages = {stage: self.stage_seconds.labels(stage) for stage in STAGES}  # to look one up takes a while
        self._routes: dict[tuple[str, str, int], tuple[Counter, Series]] = {}
        self._register_load_shedding()
        self.decoding_bytes = self._gauge(
            "decoding_bytes", "Memory that the photos being decoded may take, as their headers promise"
        )
        self.decoding_bytes.set_function(lambda: decoding_memory.taken_bytes)
        self.heavy_processes = self._gauge("heavy_processes", "Child processes for heavy work that run now")
        self.model = self._gauge("model_info", "1 for the active model", "name", "version", "precision", "kernel")
        self.golden_deviation = self._gauge(
            "golden_deviation", "Largest difference of the active model from its golden cases on this CPU, 0 to 1"
        )
        self.reloads = self._counter("reloads", "Model reload attempts by outcome", "outcome", outcome=RELOADS)
        self.last_look = self._gauge(
            "last_look_timestamp_seconds", "Unix time of the last complete poll of the model store"
        )
        self.predictions = self._counter(
            "predictions",
            f"Photos classified, {UNKNOWN} as none of the labels; `measurement` are those that their sender calls so",
            "label",
            "uncertain",
            "traffic",
        )
        self._predicted: dict[tuple[str, bool, bool], Counter] = {}  # to look one up takes a while
        self.damaged = self._counter("damaged_photos", "Photos classified of which pieces are missing")
        self.confidence = self._histogram(
            "confidence", "Probability of the predicted label, without measurements and unknown", CONFIDENCE_BUCKETS
        ).labels()
        self._register_drift()
        self._register_feedback()
        self._register_teaching()
        self._register_inbox()

    def _register_load_shedding(self) -> None:
        self.queue_depth = self._gauge("queue_depth", "Queue depth: admitted photos that wait for a worker")
        self.rejections = self._counter(
            "rejections",
            "Requests rejected (load shedding, limits, time-outs, keys, origins), by reason",
            "reason",
            reason=REJECTIONS,
        )
        self.connections_refused = self._counter(
            "connections_refused",
            "Connections closed at a limit, by limit",
            "limit",
            limit=CONNECTION_LIMITS,
        )

    def _register_drift(self) -> None:
        self.drift = self._gauge(
            "drift",
            "Data drift: population stability index of recent photos against validation; above 0.25 is a large shift",
            "signal",
        )
        self._drift: Drift | None = None

    def _register_feedback(self) -> None:
        self.feedback = self._counter("feedback", "Corrected photos received, by outcome", "outcome", outcome=FEEDBACK)
        self.feedback_spooled = self._gauge(
            "feedback_spooled", "Corrected photos spooled on disk until the store is reachable"
        )
        self.feedback_waiting_photos = self._gauge("feedback_waiting_photos", "Corrected photos that wait for review")
        self.feedback_waiting_bytes = self._gauge(
            "feedback_waiting_bytes", "Bytes of the corrected photos that wait for review"
        )

    def _register_teaching(self) -> None:
        self.teach_photos = self._counter(
            "teach_photos", "Photos sent to teach from, by outcome", "outcome", outcome=TEACH_PHOTOS
        )
        self.teach_runs = self._counter("teach_runs", "Teachings by outcome", "outcome", outcome=TEACH_RUNS)
        self.teach_seconds = self._histogram(
            "teach_seconds",
            "Time of teaching: the features of one photo, and a whole run",
            TEACH_BUCKETS,
            "stage",
            stage=TEACH_STAGES,
        )

    def _register_inbox(self) -> None:
        self.inbox_kept = self._counter(
            "inbox_kept", "Photos kept with consent, by their answer", "answer", answer=INBOX_KEPT
        )
        self.inbox_dropped = self._counter(
            "inbox_dropped",
            "Photos that were not kept, or not any longer, by reason",
            "reason",
            reason=INBOX_DROPPED,
        )
        self.inbox_waiting_photos = self._gauge("inbox_waiting_photos", "Kept photos that wait for a label")
        self.inbox_waiting_bytes = self._gauge("inbox_waiting_bytes", "Bytes of the kept photos that wait for a label")
        self.inbox_oldest_age = self._gauge(
            "inbox_oldest_age_seconds", "How long the oldest photo waits for a label; 0 where none waits"
        )

    def serve(self, model: LoadedModel) -> None:
        """Set the active model, with a prediction counter of zero for each label, and for the unknown class if any."""
        self.model.clear()
        self.model.labels(model.name.name, model.name.version, model.kernel.precision, model.kernel.kernel).set(1)
        self.golden_deviation.set(model.kernel.deviation)
        for label in model.manifest.classes:
            for uncertain in ("false",) if label == UNKNOWN else ("true", "false"):
                for traffic in TRAFFIC:
                    self.predictions.labels(label, uncertain, traffic)
        self._drift = Drift(model.manifest.reference)

    def in_flight(self) -> InFlight:
        """For a `with` statement: count a request as in flight; for the event loop only."""
        return self._in_flight

    def refresh(self, *, waiting: int) -> None:
        """Update the gauges before a scrape; `waiting` is the queue depth."""
        self.queue_depth.set(waiting)
        if self._drift:
            for signal, index in self._drift.indices().items():
                self.drift.labels(signal).set(index)

    def count(
        self, prediction: Prediction, brightness: float, stages: Mapping[str, float], *, measured: bool = False
    ) -> None:
        """Record one prediction; `brightness` is 0..1, `stages` seconds.

        A `measured` one says nothing of what is photographed here: it is left out of drift and confidence.
        """
        key = (prediction.label or UNKNOWN, prediction.uncertain, measured)
        counter = self._predicted.get(key)
        if counter is None:
            label, uncertain, _ = key
            counter = self._predicted[key] = self.predictions.labels(label, str(uncertain).lower(), TRAFFIC[measured])
        counter.inc()
        if prediction.damaged:
            self.damaged.inc()
        if not measured:
            self._see(prediction, brightness)
        for stage, seconds in stages.items():
            self._stages[stage].observe(seconds)

    def _see(self, prediction: Prediction, brightness: float) -> None:
        if not prediction.unknown:
            self.confidence.observe(prediction.confidence)
        if self._drift:
            self._drift.see(prediction.label or UNKNOWN, prediction.confidence, brightness)

    def observe(self, stage: str, seconds: float) -> None:
        """Record the time of one of STAGES."""
        self._stages[stage].observe(seconds)

    def count_request(self, route: str, method: str, status: int, seconds: float, request_id: str) -> None:
        """Record an answered request; `route` is its template, `seconds` the time until the head of its answer.

        The last `request_id` (64 characters at most) of each bucket is its exemplar.
        """
        key = (route, method, status)
        known = self._routes.get(key)
        if known is None:
            known = self._routes[key] = (self.requests.labels(*key), self.request_seconds.labels(route))
        counter, histogram = known
        counter.inc()
        histogram.observe(seconds, {"request_id": request_id})

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
    for values in known.values():
        for value in values:
            metric.labels(value)
    return metric
