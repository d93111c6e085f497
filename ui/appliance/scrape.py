"""Parse Prometheus metrics; compute rates, percentiles and shares from two scrapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

PHOTO_ROUTES = ("/predict", "/predict/batch", "/explain", "/feedback")  # routes of photos; KServe's begin with /v2
STAGES = ("read", "queue", "decode", "infer", "total")

Labels = frozenset[tuple[str, str]]


class Scrape(NamedTuple):
    """The samples of one scrape at `at` (Unix time, s), from the process that began at `began`."""

    at: float
    began: float
    samples: Mapping[str, Mapping[Labels, float]]

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 if there is none."""
        return self.samples.get(name, {}).get(frozenset(labels.items()), 0.0)

    def by(self, name: str, label: str, *, without: tuple[str, str] | None = None) -> dict[str, float]:
        """The samples of a metric, added up by one of its labels; `without` those of one label and value."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(name, {}).items():
            if without in labels:
                continue
            key = dict(labels).get(label, "")
            sums[key] = sums.get(key, 0.0) + value
        return sums

    def info(self, name: str) -> dict[str, str]:
        """The labels of an info metric."""
        return next((dict(labels) for labels, value in self.samples.get(name, {}).items() if value == 1), {})

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """The cumulative buckets of a histogram, by upper bound."""
        wanted = set(labels.items())
        return {
            float(dict(key)["le"]): value
            for key, value in self.samples.get(f"{name}_bucket", {}).items()
            if wanted <= key
        }


def parse(text: str, at: float) -> Scrape:
    """Read Prometheus' text format. Raises ValueError if it is something else."""
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    if "dandelion_requests_total" not in samples and "dandelion_in_flight" not in samples:
        raise ValueError("these are not the metrics of an appliance")
    began = samples.get("process_start_time_seconds", {}).get(frozenset(), 0.0)
    return Scrape(at, began, samples)


def percentile(q: float, now: Mapping[float, float], before: Mapping[float, float]) -> float | None:
    """The quantile `q` (0..1) of what two cumulative histograms differ by, interpolated as Prometheus does.

    None without observations; the last finite bound if the quantile lies above it.
    """
    bounds = sorted(now)
    counts = [now[bound] - before.get(bound, 0.0) for bound in bounds]
    if not counts or counts[-1] <= 0:
        return None
    rank = q * counts[-1]
    below, lower = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= rank:
            if math.isinf(bound):
                return lower
            share = (rank - below) / (count - below) if count > below else 1.0
            return lower + (bound - lower) * share
        below, lower = count, bound
    return lower


def asked(scrape: Scrape) -> float:
    """Requests about photos so far."""
    routes = scrape.by("dandelion_requests_total", "route")
    return sum(count for route, count in routes.items() if route in PHOTO_ROUTES or route.startswith("/v2/models"))


def rate(now: Scrape, before: Scrape) -> float:
    """Requests about photos a second between two scrapes."""
    return max(0.0, asked(now) - asked(before)) / max(1e-3, now.at - before.at)


def cpu(now: Scrape, before: Scrape) -> float:
    """Cores in use between two scrapes."""
    name = "process_cpu_seconds_total"
    return max(0.0, now.value(name) - before.value(name)) / max(1e-3, now.at - before.at)
