"""Refusals of the workspace, each of which names the thing and the remedy."""

from __future__ import annotations

from runtime.errors import Refusal


class WorkspaceError(Refusal):
    """A change to the workspace that is refused, or a workspace that cannot be used."""


class Unusable(WorkspaceError):
    """The database is of a newer release, or damaged; it is left as it is."""


class NotThere(WorkspaceError):
    """There is no such dataset, class or photo."""


class Conflict(WorkspaceError):
    """The dataset is not in a state that allows it."""


class Invalid(WorkspaceError):
    """A label or a name that cannot be one."""


class NoRoom(WorkspaceError):
    """The disk is full, or a bound of the workspace is reached; nothing was lost."""
