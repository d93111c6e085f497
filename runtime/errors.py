"""User errors: expected failures, printed as one line that names the thing and the remedy, without a stack trace."""

from __future__ import annotations

MAX_LINE = 500  # characters of a refusal


class Refusal(Exception):
    """A user error; the message names the thing and the remedy.

    `retryable` tells a scheduler that a later attempt may succeed.
    """

    retryable = False

    def __str__(self) -> str:
        """One line of plain text, even if an untrusted file or server has put control characters into it."""
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """`text` with control characters escaped, and its middle cut out if it is longer than MAX_LINE."""
    half = MAX_LINE // 2
    short = text if len(text) <= MAX_LINE else f"{text[:half]} … {text[-half:]}"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in short)
