"""Kinds of other things: which photos show what, and which of them may show a class of the user's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from runtime.names import composed
from training.data.class_folders import JOIN

THINGS = "things"  # the kind of which each photo shows another thing
_IMAGENET = re.compile(r"n\d{8}_(.+)")  # `n01440764_tench`: WordNet's number, and what the photo shows
_LONG_PLURAL = 4  # letters of a word whose last s may be that of a plural


def kind_of(path: str) -> str | None:
    """The kind that a photo's path names, `<class>/<kind>--<name>`; None for one that names none."""
    kind, join, _ = PurePosixPath(path).name.partition(JOIN)
    return kind if join else None


def subject_of(path: str) -> str | None:
    """What a photo shows, by its path: `tench` of `(unknown)/things--n01440764_tench.JPEG`, else its kind."""
    named = _IMAGENET.fullmatch(PurePosixPath(path).stem.rpartition(JOIN)[2])
    return named[1] if named else kind_of(path)


def may_show(subject: str, labels: Iterable[str]) -> bool:
    """Whether a photo of `subject` may show one of `labels`: all words of either occur in the other.

    Names alone are compared, their plurals taken off: `daisies` is `daisy`, and `shark` may be a `tiger_shark`.
    """
    shown = _words(subject)
    return any(words <= shown or shown <= words for words in map(_words, labels) if words and shown)


def _words(text: str) -> frozenset[str]:
    return frozenset(map(_singular, re.findall(r"[^\W_]+", composed(text).casefold())))


def _singular(word: str) -> str:
    if len(word) < _LONG_PLURAL or not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]
