"""What each client does with the appliance, and what is right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One thing to do: the column's title, the status that is right, and what the answer has to hold."""

    name: str
    title: str
    status: int
    holds: str


CASES = (
    Case("raw", "photo as the body", 200, '"label"'),
    Case("form", "photo in a form", 200, '"label"'),
    Case("chunked", "length unknown", 200, '"label"'),
    Case("upgrade", "HTTP/2 offered", 200, '"label"'),
    Case("large", "30 MB: the reason of the 413 arrives", 413, "413"),
    Case("v2", "Open Inference Protocol", 200, ""),
)
