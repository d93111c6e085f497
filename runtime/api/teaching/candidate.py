"""The taught model that is not served yet: loaded when somebody tries it, evicted after a minute without photos."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import numpy as np

from runtime.bundle.manifest import Bundle
from runtime.host.deadline import in_daemon_thread
from runtime.host.memory import return_free_memory
from runtime.host.photo_limits import PhotoLimits
from runtime.image import decode_photo
from runtime.inference.predictions import Prediction, predict
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel, load_model
from runtime.serving.scheduling.scheduler import ClientName
from runtime.serving.settings import Settings
from runtime.serving.versions.comparison import IDLE_EVICTION_S
from runtime.teaching.lessons import open_taught
from runtime.teaching.workspace.workspace import Workspace


class Tried(msgspec.Struct, frozen=True):
    """What the taught model and the one that serves say of a photo; `same_product` if they are of one name."""

    taught: Prediction
    serving: Prediction
    same_product: bool


class CandidateModel:
    """At most one taught model in memory, and one request at a time. Its answers are not counted in the metrics."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """Beside the model of `engine`."""
        self._engine = engine
        self._settings = settings
        self._lock = asyncio.Lock()
        self._model: LoadedModel | None = None
        self._eviction: asyncio.TimerHandle | None = None

    async def answer(self, workspace: Workspace, dataset: str, photo: bytes, client: ClientName) -> Tried:
        """Classify one encoded photo by both.

        Raises NotThere, Conflict if nothing was taught, BundleError, and what `Engine.work` raises.
        """
        async with self._lock:
            taught = await self._load(workspace, dataset)
            serving = self._engine.model
            job = partial(_answers, taught, serving, photo, self._settings.photo_limits)
            return await self._engine.work(job, 2 * await self._engine.cost_of(photo), client)

    async def _load(self, workspace: Workspace, dataset: str) -> LoadedModel:
        loop = asyncio.get_running_loop()
        version = await loop.run_in_executor(None, workspace.datasets.version_of, dataset)
        if self._model is None or self._model.name.version != version:
            self._model = None  # before the next is loaded: never three models in memory
            self._model = await in_daemon_thread(partial(self._open, workspace, dataset, version))
        if self._eviction:
            self._eviction.cancel()
        self._eviction = loop.call_later(IDLE_EVICTION_S, self._evict)
        return self._model

    def _open(self, workspace: Workspace, dataset: str, version: str) -> LoadedModel:
        bundle: Bundle = open_taught(workspace, dataset, version)
        return load_model(bundle, threads=1, source="taught here", abstain=self._settings.abstain)

    def _evict(self) -> None:
        self._model = None
        return_free_memory()


def _answers(taught: LoadedModel, serving: LoadedModel, photo: bytes, limits: PhotoLimits) -> Tried:
    return Tried(_answer(taught, photo, limits), _answer(serving, photo, limits), taught.name.name == serving.name.name)


def _answer(model: LoadedModel, photo: bytes, limits: PhotoLimits) -> Prediction:
    decoded = decode_photo(photo, model.manifest.input, limits=limits)
    inference = model.infer(decoded.pixels[np.newaxis], alone=False)
    return predict(inference.probabilities[0], model.rule, damaged=decoded.damaged)
