"""Inference statistics of the protocol: how many requests, and the time of their stages, since the model serves.

Triton's extension: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from runtime.inference.predictions import ModelName
from runtime.serving.results import TimedInference


class Duration(msgspec.Struct):
    """How often something was done, and the nanoseconds that it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Record one."""
        self.count += 1
        self.ns += round(seconds * 1e9)


class InferenceStatistics(msgspec.Struct):
    """Requests that succeeded or failed; and of those that succeeded the stages. Nothing is cached here."""

    success: Duration = msgspec.field(default_factory=Duration)
    fail: Duration = msgspec.field(default_factory=Duration)
    queue: Duration = msgspec.field(default_factory=Duration)
    compute_input: Duration = msgspec.field(default_factory=Duration)
    compute_infer: Duration = msgspec.field(default_factory=Duration)
    compute_output: Duration = msgspec.field(default_factory=Duration)
    cache_hit: Duration = msgspec.field(default_factory=Duration)
    cache_miss: Duration = msgspec.field(default_factory=Duration)


class ModelStatistics(msgspec.Struct):
    """The statistics of one version; `last_inference` is in milliseconds since 1970, 0 before the first.

    `inference_count` counts photos, `execution_count` requests. `version` is 1, since Triton's versions are numbers and
    perf_analyzer ends without one; `serving` is ours.
    """

    name: str
    serving: str
    version: str = "1"
    last_inference: int = 0
    inference_count: int = 0
    execution_count: int = 0
    inference_stats: InferenceStatistics = msgspec.field(default_factory=InferenceStatistics)
    batch_stats: list[None] = msgspec.field(default_factory=list)


class Stages:
    """The times of one request, noted as its stages end."""

    def __init__(self) -> None:
        """Begin now."""
        self.began = time.perf_counter()
        self.photos = 0
        self.input_s = self.queue_s = self.infer_s = self.output_s = 0.0

    def decoded(self) -> None:
        """Note that the input has been read and decoded."""
        self.input_s = time.perf_counter() - self.began

    def inferred(self, inference: TimedInference) -> None:
        """Note the inference."""
        self.photos = len(inference.inference.probabilities)
        self.queue_s, self.infer_s = inference.queue_s, inference.infer_s

    def done(self) -> float:
        """Note that the output has been encoded; the seconds of the whole request."""
        total_s = time.perf_counter() - self.began
        self.output_s = max(0.0, total_s - self.input_s - self.queue_s - self.infer_s)
        return total_s


class Statistics:
    """Those of the version that serves; a new one begins at zero. For the event loop only."""

    def __init__(self) -> None:
        """Nothing has been asked."""
        self._of = ModelStatistics("", "")

    def of(self, model: ModelName) -> ModelStatistics:
        """The statistics of the model that serves."""
        if (self._of.name, self._of.serving) != (model.name, model.version):
            self._of = ModelStatistics(model.name, model.version)
        return self._of

    @contextmanager
    def request(self, model: ModelName) -> Iterator[Stages]:
        """Count a request; it has failed if the block raises."""
        stages = Stages()
        try:
            yield stages
        except BaseException:
            self.of(model).inference_stats.fail.add(time.perf_counter() - stages.began)
            raise
        _count(self.of(model), stages)


def _count(statistics: ModelStatistics, stages: Stages) -> None:
    found = statistics.inference_stats
    found.success.add(stages.done())
    found.queue.add(stages.queue_s)
    found.compute_input.add(stages.input_s)
    found.compute_infer.add(stages.infer_s)
    found.compute_output.add(stages.output_s)
    statistics.last_inference = round(time.time() * 1000)
    statistics.inference_count += stages.photos
    statistics.execution_count += 1
