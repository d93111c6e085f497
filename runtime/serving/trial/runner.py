"""Trial runner: validate each new version once on this host, and remember which passed, failed or crashed."""

from __future__ import annotations

import hashlib
import platform
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version as release_of
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from runtime.bundle.manifest import MANIFEST, Bundle, BundleError
from runtime.host.memory_limit import available_memory
from runtime.registry.state import CrashedTrial, PassedTrial, State, StateFile, UnfinishedLoad
from runtime.serving.trial.messages import TrialJob
from runtime.serving.trial.process import TrialKilled, TrialProcess, TrialStopped

MEMORY_SHARE = 0.5  # of what is available: a version that serves takes twice what its trial does, on one more thread
LEAST_MEMORY = 64 * 2**20
MAX_LOADS = 2  # that did not come to their end: one may have been the power
MAX_RECORDS = 50

T = TypeVar("T")


class TrialRunner:
    """Runs one trial at a time, and keeps the outcomes in `state`. Thread-safe."""

    def __init__(self, state: StateFile, *, seconds: float, memory_bytes: int | None) -> None:
        """Limits of a trial: `seconds` and `memory_bytes`; None is half of the memory that is available."""
        self._state = state
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._host = _host()
        self._lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._loading: list[str] = []
        self._running: tuple[str, TrialProcess] | None = None
        self._ended = False

    @property
    def validating(self) -> str | None:
        """The version that is being validated, or about to be."""
        running = self._running
        return running[0] if running else None

    @contextmanager
    def child_for(self, version: str, manifest_sha256: str, *, at_once: bool = False) -> Iterator[TrialProcess | None]:
        """A child process for `validate`, which starts while the version is downloaded; None if no trial is needed.

        Raises TrialKilled for a version that crashed an earlier trial, and TrialStopped if another version is being
        validated; with `at_once`, that trial is cancelled instead.
        """
        if self._ended:
            raise TrialStopped("the appliance is stopping")
        self._refuse_again(version, manifest_sha256)
        if self._is_proven(version, manifest_sha256):
            yield None
            return
        with TrialProcess() as child:
            with self._lock:
                if self._running and not at_once:
                    raise TrialStopped("another version is being validated; try again in a while")
                if self._running:
                    self._running[1].stop()
                self._running = version, child
            try:
                yield child
            finally:
                with self._lock:
                    if self._running and self._running[1] is child:
                        self._running = None

    def validate(self, bundle: Bundle, child: TrialProcess | None = None) -> None:
        """Validate a verified bundle in `child`, unless it has passed on this host before.

        Raises BundleError if its outputs are wrong, TrialKilled if the child crashes, which is remembered, and
        TrialStopped if another trial or the shutdown of the appliance cancels it.
        """
        version, digest = bundle.manifest.version, manifest_hash(bundle.path)
        with nullcontext(child) if child else self.child_for(version, digest) as trial:
            if trial is None:
                return
            job = TrialJob(str(bundle.path.absolute()), self._seconds, self._memory())
            try:
                outcome = trial.run(job)
            except TrialKilled as error:
                self._remember_refusal(version, digest, str(error))
                raise
        if outcome.kernel is None:
            raise BundleError(outcome.refusal)
        self._remember_proof(version, PassedTrial(digest, outcome.kernel))

    def forgive(self, version: str) -> None:
        """Forget that a version crashed, so that it can be tried again."""

        def change(state: State) -> State:
            return replace(state, refused=_without(version, state.refused), loads=_without(version, state.loads))

        self._change(change)

    def kernel_of(self, bundle: Bundle) -> str | None:
        """The kernel that passed in the trial of the bundle; None if it is not known."""
        proven = self._read().proven.get(bundle.manifest.version)
        return proven.kernel if proven and proven.manifest_sha256 == manifest_hash(bundle.path) else None

    @contextmanager
    def loading(self, version: str) -> Iterator[None]:
        """Record that a version is being loaded: if that crashes the appliance, the next start knows (crash loop)."""
        self._loading.append(version)
        self._change(lambda state: replace(state, loads=_newest(state.loads | {version: _next(state.loads, version)})))
        try:
            yield
        finally:
            self._change(lambda state: replace(state, loads=_without(version, state.loads)))
            self._loading.remove(version)

    def stop(self) -> None:
        """Cancel the running trial, and start no more. Safe to call from any thread."""
        self._ended = True
        if self._running:
            self._running[1].stop()

    def _refuse_again(self, version: str, digest: str) -> None:
        state = self._read()
        refused = state.refused.get(version)
        if refused and refused.manifest_sha256 == digest:
            raise TrialKilled(f"{refused.reason}; it is not retried unless an operator loads it by name")
        load = self._interrupted(state, version)
        if load and load.times >= MAX_LOADS:
            reason = f"the appliance ended {load.times} times in a row while it loaded this version"
            self._remember_refusal(version, digest, reason)
            raise TrialKilled(reason)

    def _is_proven(self, version: str, digest: str) -> bool:
        state = self._read()
        proven, load = state.proven.get(version), self._interrupted(state, version)
        return proven is not None and proven.manifest_sha256 == digest and (load is None or load.tried)

    def _interrupted(self, state: State, version: str) -> UnfinishedLoad | None:
        """The record of loads that crashed an appliance; a load that is running in this process does not count."""
        return None if version in self._loading else state.loads.get(version)

    def _memory(self) -> int | None:
        if self._memory_bytes is not None:
            return self._memory_bytes
        available = available_memory()
        return None if available is None else max(LEAST_MEMORY, int(MEMORY_SHARE * available))

    def _remember_refusal(self, version: str, digest: str, reason: str) -> None:
        refused = {version: CrashedTrial(digest, reason)}

        def change(state: State) -> State:
            return replace(state, refused=_newest(state.refused | refused), loads=_without(version, state.loads))

        self._change(change)

    def _remember_proof(self, version: str, proven: PassedTrial) -> None:
        """The number of crashed loads is kept: a version that passes its trial may still crash the appliance."""

        def change(state: State) -> State:
            load = state.loads.get(version)
            tried = {version: replace(load, tried=True)} if load else {}
            return replace(state, proven=_newest(state.proven | {version: proven}), loads=state.loads | tried)

        self._change(change)

    def _read(self) -> State:
        """The state, without outcomes of another release or another CPU."""
        state = self._state.read()
        if state.host == self._host:
            return state
        return replace(state, host=self._host, proven={}, refused={}, loads={})

    def _change(self, change: Callable[[State], State]) -> None:
        with self._state_lock, suppress(OSError):  # a disk that is full: the trial is done again after the next start
            after = change(self._read())
            self._state.change(host=after.host, proven=after.proven, refused=after.refused, loads=after.loads)


def manifest_hash(folder: Path) -> str:
    """The SHA-256 of a bundle's manifest, in hexadecimal: it stands for the whole bundle."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _next(loads: Mapping[str, UnfinishedLoad], version: str) -> UnfinishedLoad:
    return UnfinishedLoad(loads[version].times + 1 if version in loads else 1)


def _without(version: str, records: Mapping[str, T]) -> dict[str, T]:
    return {other: record for other, record in records.items() if other != version}


def _newest(records: dict[str, T]) -> dict[str, T]:
    return dict(list(records.items())[-MAX_RECORDS:])


def _host() -> str:
    """The scope of a trial's outcome: this release on this CPU model."""
    try:
        found = re.search(r"^(flags|Features)\s*:.*$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    processor = found[0] if found else platform.machine()
    return f"{release_of('dandelion')} {zlib.crc32(processor.encode()):08x}"
