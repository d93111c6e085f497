"""Text of any language in an HTTP header: as it is if it is plain ASCII, else as RFC 8187 spells it."""

from __future__ import annotations

from urllib.parse import quote

_PREFIX = "UTF-8''"
_AS_IT_IS = "!#$&+^`|"  # RFC 8187, 3.2.1: attr-char, beside letters, digits and what `quote` leaves alone (`_.-~`)


def header_text(text: str) -> str:
    """`grass` stays `grass`, `œillet` becomes `UTF-8''%C5%93illet` (RFC 8187, 3.2).

    What looks like the second form is spelt that way, too, so that a reader can tell the two apart.
    """
    plain = text.isascii() and text.isprintable() and text == text.strip() and not text.upper().startswith(_PREFIX)
    return text if plain else _PREFIX + quote(text, safe=_AS_IT_IS)
