"""Fixtures of the API's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.bundle.manifest import Bundle
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from tests.support.models.bundles import write_bundle


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine of one worker and one thread, without a server."""
    settings = Settings(threads=1, workers=1)
    engine = Engine(LoadedModel(Bundle.open(write_bundle(tmp_path / "v1")), threads=1, source=""), settings, Metrics())
    yield engine
    engine.close()
