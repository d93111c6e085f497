"""The types of a function that is called in a child process: both sides encode and decode by them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, get_type_hints


class Signature(NamedTuple):
    """The types of the arguments and of the result of a function `(data: bytes, args) -> result`."""

    args: Any
    result: Any


@lru_cache
def signature_of(function: Callable[[bytes, Any], Any]) -> Signature:
    """As its annotations have it."""
    hints = get_type_hints(function)
    return Signature(hints["args"], hints["return"])
