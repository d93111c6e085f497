"""Versions that are set aside: why each is, and when it may be tried again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.bundle.manifest import Bundle, BundleError
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.trial.process import TrialStopped
from runtime.serving.trial.runner import manifest_hash
from runtime.serving.versions.backoff import Backoff

log = logging.getLogger(__name__)

Target = tuple[str, str]  # a version, and the hash of its manifest; none for one that this host is pinned to


class RefusedVersions:
    """Refused versions and their reasons. Each may be tried again after a delay that doubles (Backoff)."""

    def __init__(self, first_wait_s: float, metrics: Metrics) -> None:
        """Start with none."""
        self._backoff: Backoff[Target] = Backoff(first_wait_s)
        self._metrics = metrics

    @property
    def reasons(self) -> dict[str, str]:
        """The reason of each version."""
        return {version: reason for (version, _), reason in self._backoff.items()}

    def is_due(self, target: Target) -> bool:
        """Whether it may be tried now."""
        return self._backoff.is_due(target)

    def refuse(self, target: Target, error: Exception, *, serving: str | None) -> None:
        """Set it aside, count it, and log it with what is `serving`, None at the start.

        One line is enough, however often it is tried again.
        """
        level = logging.WARNING if self.note(target, error) else logging.DEBUG
        instead = f"{serving} keeps serving" if serving else "it is set aside"
        log.log(level, "hot reload: refused %s, %s: %s", target[0], instead, error)
        self._metrics.reloads.labels("refused").inc()

    def note(self, target: Target, error: Exception) -> bool:
        """Set it aside, and leave it to the caller to say so. Returns whether this is its first refusal."""
        return self._backoff.refuse(target, str(error))

    def forgive(self, version: str) -> None:
        """Forget all refusals of a version."""
        for target in [target for target, _ in self._backoff.items() if target[0] == version]:
            self._backoff.forgive(target)

    @contextmanager
    def noting(self, target: Target) -> Iterator[None]:
        """Set it aside if the block raises BundleError; who asked for it is told by that."""
        try:
            yield
        except TrialStopped:
            raise
        except BundleError as error:
            self.note(target, error)
            raise


def target_of(bundle: Bundle) -> Target:
    """The version of a bundle, and the hash of its manifest."""
    return bundle.manifest.version, manifest_hash(bundle.path)
