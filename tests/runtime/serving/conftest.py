from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.serving.appliance import Appliance, assemble
from runtime.serving.settings import Settings

Start = Callable[..., Appliance]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an appliance in this process, with a cache of its name; each is stopped after its test."""
    running = list[Appliance]()

    def begin(name: str = "cache", **changes: Any) -> Appliance:
        settings: dict[str, Any] = {"threads": 1, "workers": 1, "cache": tmp_path / name, "poll_s": 0.1} | changes
        started = assemble(Settings(**settings))
        started.start()
        running.append(started)
        return started

    yield begin
    for each in running:
        each.stop()
