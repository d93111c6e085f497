"""Load plans (open-loop, closed-loop) and results, exchanged between processes as msgpack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Closed loop: each of `clients` sends its next request after its answer, for `seconds` or until `requests`."""

    clients: int
    seconds: float
    requests: int | None = None


class Open(msgspec.Struct, frozen=True, tag="open"):
    """Open loop: requests that arrive at random (a Poisson process of `rate_per_s`, seeded) for `seconds`.

    Latency counts from the intended arrival, so there is no coordinated omission: a server that stalls cannot delay the
    requests that would show it. Each arrival has a connection of its own, up to `connections`; past that it waits, and
    its wait counts.
    """

    rate_per_s: float
    seconds: float
    seed: int = 0
    connections: int = 512


class Order(msgspec.Struct, frozen=True):
    """One burst against a port of this machine; `requests` are sent round and round, from the one numbered `first`.

    `source` is the address to connect from, such as another one of the loopback network; None leaves it to the system.
    """

    port: int
    requests: list[bytes]
    plan: Closed | Open
    first: int = 0
    timeout_s: float = 60.0
    source: str | None = None


class Burst(msgspec.Struct, frozen=True):
    """What came back, one entry a request in the order of its answers.

    `latency_ms` counts from the intended arrival of an open loop, and from the sending in a closed one; `arrived_s` is
    that moment, from the beginning of the burst. `kind` is the position in the order's requests. `late_ms` is how late
    an open loop's generator was itself. `stages_ms` are the server's own timings of the answers that had any.
    `cpu_s` is the generator's own work, `seconds` the whole burst with its last answers.
    """

    latency_ms: list[float]
    arrived_s: list[float]
    status: list[int]
    kind: list[int]
    retry_after: list[bool]
    late_ms: list[float]
    stages_ms: dict[str, list[float]]
    cpu_s: float
    seconds: float
    window_s: float

    @property
    def answered(self) -> int:
        """Requests that were answered with 200."""
        return self.status.count(200)

    @property
    def rate_per_s(self) -> float:
        """Requests answered with 200 within the window, for each second of it."""
        ended = np.asarray(self.arrived_s) + np.asarray(self.latency_ms) / 1000
        within = (np.asarray(self.status) == 200) & (ended <= self.window_s)
        return float(within.sum() / self.window_s)

    def quantile_ms(self, share: float) -> float:
        """Of the latencies of those answered with 200; NaN where there is none."""
        accepted = self.accepted_ms
        return float(np.quantile(accepted, share)) if accepted else float("nan")

    @property
    def accepted_ms(self) -> list[float]:
        """The latencies of those answered with 200."""
        return [ms for ms, status in zip(self.latency_ms, self.status, strict=True) if status == 200]

    def statuses(self) -> dict[str, int]:
        """How many of each status."""
        return {str(status): self.status.count(status) for status in sorted(set(self.status))}


def describe_statuses(statuses: Mapping[str, int]) -> str:
    """How many of each status; 0 is a request without an answer."""
    return ", ".join(f"{count} x {status if status != '0' else 'none'}" for status, count in statuses.items())


def pooled(bursts: Sequence[Burst]) -> list[float]:
    """The latencies of all accepted requests of several bursts, ms."""
    return [ms for burst in bursts for ms in burst.accepted_ms]
