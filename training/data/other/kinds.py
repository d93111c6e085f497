"""Kinds of other things: which photos show what."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from runtime.teaching.from_files.class_folders import JOIN

THINGS = "things"  # the kind of which each photo shows another thing
_IMAGENET = re.compile(r"n\d{8}_(.+)")  # `n01440764_tench`: WordNet's number, and what the photo shows


def kind_of(path: str) -> str | None:
    """The kind that a photo's path names, `<class>/<kind>--<name>`; None for one that names none."""
    kind, join, _ = PurePosixPath(path).name.partition(JOIN)
    return kind if join else None


def subject_of(path: str) -> str | None:
    """What a photo shows, by its path: `tench` of `(unknown)/things--n01440764_tench.JPEG`, else its kind."""
    named = _IMAGENET.fullmatch(PurePosixPath(path).stem.rpartition(JOIN)[2])
    return named[1] if named else kind_of(path)
