"""Subjects of photos of other things: which of them may show a class of the user's."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runtime.names import composed

_LONG_PLURAL = 4  # letters of a word whose last s may be that of a plural


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
