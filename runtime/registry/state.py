"""Persistent state of a host: active, previous and pinned version, outcomes of trials; one file, atomic rename."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec

from runtime.host.atomic import whole_file
from runtime.names import NOT_JSON, Sha256, Version


class CrashedTrial(msgspec.Struct, frozen=True):
    """A version that crashed its trial or the appliance, with the hash of its manifest."""

    manifest_sha256: Sha256
    reason: str


class PassedTrial(msgspec.Struct, frozen=True):
    """A version that passed its trial, with the hash of its manifest and the kernel that passed."""

    manifest_sha256: Sha256
    kernel: str


class UnfinishedLoad(msgspec.Struct, frozen=True):
    """Loads of a version that never finished (crash loop), `times` in a row; `tried`: a trial has passed since."""

    times: int
    tried: bool = False


class State(msgspec.Struct, frozen=True):
    """The last good version, the previous one, the pinned one, and the outcomes of trials.

    `taught` are versions that were taught on this host, oldest first. `counter` is the highest of a signed pointer,
    `pointed` the hash that it named. `proven`, `refused` and `loads` are of trials by the release and on the processor
    that `host` names.
    """

    last_good: Version | None = None
    previous: Version | None = None
    pinned: Version | None = None
    taught: list[Version] = []
    counter: int = 0
    pointed: Sha256 | None = None
    host: str = ""
    proven: dict[Version, PassedTrial] = {}
    refused: dict[Version, CrashedTrial] = {}
    loads: dict[Version, UnfinishedLoad] = {}


class StateFile:
    """The state in a file. Thread-safe; between processes the last writer wins."""

    def __init__(self, file: Path) -> None:
        """Nothing is touched yet."""
        self._file = file
        self._lock = threading.Lock()

    def read(self) -> State:
        """The stored state; empty if the file is missing or unreadable."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=State)
        except (OSError, *NOT_JSON):
            return State()

    def change(self, **changes: Any) -> None:
        """Replace fields; raises OSError if the disk is full or read-only."""
        with self._lock:
            before = self.read()
            after = msgspec.structs.replace(before, **changes)
            if after != before:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(self._file) as part:
                    part.write_bytes(msgspec.json.encode(after))
