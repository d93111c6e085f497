"""What Prometheus sees. Labels stay few: route templates, statuses, stages, class labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, PlatformCollector, ProcessCollector

from runtime.bundle import Manifest
from runtime.engine import Answer

# Seconds, from a thumbnail on a fast core to a request that should have been refused.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The metrics of one serving process, in a registry of its own."""

    def __init__(self) -> None:
        """Register everything, so that a scrape before the first request shows the names."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "dandelion_requests", "HTTP requests answered", ["route", "method", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "dandelion_request_seconds",
            "From the first byte of a request to the last of its answer",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "dandelion_stage_seconds",
            "Time in one stage of a prediction",
            ["stage"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.predictions = Counter(
            "dandelion_predictions", "Photos classified", ["label", "uncertain"], registry=self.registry
        )
        self.model = Info("dandelion_model", "The model that serves", registry=self.registry)

    def serve(self, manifest: Manifest) -> None:
        """Announce the model that serves from now on, with every prediction counter at zero."""
        self.model.info({"name": manifest.name, "version": manifest.version})
        for label in manifest.labels:
            for uncertain in ("true", "false"):
                self.predictions.labels(label, uncertain)

    def count(self, answer: Answer) -> None:
        """Record one prediction."""
        self.predictions.labels(answer.label, str(answer.uncertain).lower()).inc()
        timings = answer.timings_ms
        for stage, ms in (("decode", timings.decode), ("infer", timings.infer), ("total", timings.total)):
            self.stage_seconds.labels(stage).observe(ms / 1000)
