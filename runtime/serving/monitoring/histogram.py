"""Prometheus histogram that is quick to observe: seven observations of each photo are the event loop's work.

That of `prometheus_client` goes through its buckets one by one, and calls seven functions for each observation.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString


class Series:
    """The observations under one set of label values. Thread-safe."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are the upper ones of the buckets, in order, the last of which is infinite."""
        self._bounds = bounds
        self._lock = threading.Lock()
        self._counts = [0] * len(bounds)
        self._sum = 0.0
        self._exemplars: list[Exemplar | None] = [None] * len(bounds)

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Count one; the last `exemplar` of each bucket is kept."""
        bucket = bisect_left(self._bounds, amount)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += amount
            if exemplar is not None:
                self._exemplars[bucket] = Exemplar(dict(exemplar), amount, time.time())

    def read(self) -> tuple[list[int], float, list[Exemplar | None]]:
        """The count of each bucket alone, the sum of all amounts, and the exemplars."""
        with self._lock:
            return self._counts.copy(), self._sum, self._exemplars.copy()


class Histogram(Collector):
    """Observations by label values, as `prometheus_client` shows those of its own histograms."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Iterable[float], registry: CollectorRegistry
    ) -> None:
        """Register under `name`, described by `text`; `buckets` are the finite upper bounds, in order, none negative.

        Without `labels` it shows its zeros from the start, with them as soon as `labels()` has been called.
        """
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._bounds = [*buckets, math.inf]
        self._lock = threading.Lock()
        self._series: dict[tuple[str, ...], Series] = {}
        if not self._labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series under these label values. Keep it: to look one up takes a while."""
        if len(values) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, not values {values}")
        with self._lock:
            return self._series.setdefault(values, Series(self._bounds))

    def describe(self) -> list[Metric]:
        """prometheus_client: the name and the type."""
        return [Metric(self._name, self._text, "histogram")]

    def collect(self) -> Iterator[Metric]:
        """prometheus_client: all samples."""
        (metric,) = self.describe()
        with self._lock:
            series = list(self._series.items())
        for values, each in series:
            _add(metric, dict(zip(self._labels, values, strict=True)), self._bounds, each)
        yield metric


def _add(metric: Metric, labels: Mapping[str, str], bounds: Sequence[float], series: Series) -> None:
    counts, total, exemplars = series.read()
    count = 0.0
    for bound, more, exemplar in zip(bounds, counts, exemplars, strict=True):
        count += more
        place = {**labels, "le": floatToGoString(bound)}  # type: ignore[no-untyped-call]
        metric.add_sample(f"{metric.name}_bucket", place, count, None, exemplar)
    metric.add_sample(f"{metric.name}_count", dict(labels), count)
    metric.add_sample(f"{metric.name}_sum", dict(labels), total)
