"""Input validation: allow-lists for untrusted names that become part of a path, a key or a label (path traversal).

A name is validated when it is parsed, because its type is one of these; nothing unchecked reaches a path.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

DEFAULT_PRODUCT = "dandelion-classifier"  # the name of the default bundle's model, and of what has none of its own
DEFAULT_LABELS = ("dandelion", "grass")  # its classes
UNKNOWN = "(unknown)"  # the unknown class, "none of these", where a text must stand for it: reserved, never a label
MAX_NAME = 100  # characters; file systems end at 255 bytes
MAX_PREFIX = 200  # characters of a path prefix
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
MAX_PART_BYTES = 255  # of one part of a path, on every usual file system
MAX_PATH_BYTES = 900  # S3 ends at 1,024 with the prefix, Linux at 4,096 with the folder

# What msgspec raises for bytes that are no JSON of a type; it leaks the last two.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# `$` alone would allow a line break at the end.
_NAME = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}$(?!\n)"
# Any language, but no separator, nothing hidden (which `..` is, too), no control character, no line break, nothing that
# turns the direction of writing.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_NEVER = rf"/\\{_UNSEEN}"
_VISIBLE = rf"[^.{_NEVER}][^{_NEVER}]*"

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Version = Annotated[str, msgspec.Meta(pattern=_NAME)]
ModelName = Annotated[str, msgspec.Meta(pattern=_NAME)]
FileName = Annotated[str, msgspec.Meta(pattern=_NAME)]
Line = Annotated[str, msgspec.Meta(pattern=rf"^[^{_UNSEEN}]*[^\s{_UNSEEN}][^{_UNSEEN}]*$(?!\n)")]  # of text to show
Label = Annotated[str, msgspec.Meta(pattern=rf"^{_VISIBLE}$(?!\n)", max_length=MAX_NAME)]


def is_name(text: str) -> bool:
    """Whether `text` may be a version, the name of a model or of one of its files."""
    return re.search(_NAME, text) is not None


def composed(text: str) -> str:
    """`text` in Unicode's normal form C, in which names are compared: file systems and keyboards differ."""
    return unicodedata.normalize("NFC", text)


def label_among(labels: Sequence[str], given: str) -> str | None:
    """The one of `labels` that `given` means, as it is spelt there."""
    return next((label for label in labels if composed(label) == composed(given)), None)


def is_reserved(label: str) -> bool:
    """Whether `label` is UNKNOWN, in any case or normal form: no label of a model may be."""
    return composed(composed(label).casefold()) == UNKNOWN


def alike(names: Iterable[str]) -> str | None:
    """Two of `names` that differ only in case or normal form, which not every file system tells apart, in words.

    Names that look the same are spelt out: `'caf\\xe9' and 'cafe\\u0301'`.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(composed(composed(name).casefold()), name)
        if other != name:
            show = ascii if composed(other) == composed(name) else repr
            return f"{show(other)} and {show(name)}"
    return None


def is_path_below(path: str) -> bool:
    """Whether `path` names a file below a folder: parts with slashes between them, none hidden, none that leads out."""
    parts = path.split("/")
    fit = all(re.fullmatch(_VISIBLE, part) and len(part.encode()) <= MAX_PART_BYTES for part in parts)
    return fit and len(path.encode()) <= MAX_PATH_BYTES


def path_prefix(text: str) -> str | None:
    """`/meadow/` as `/meadow`, and `/` as nothing; None for what is no plain path."""
    prefix = text.strip().rstrip("/")
    return prefix if not prefix or (len(prefix) <= MAX_PREFIX and _PREFIX.fullmatch(prefix)) else None


def plain(error: Exception) -> str:
    """What msgspec says of a value, without the regular expression that it shows to people in place of a rule."""
    text = re.sub(
        r"Expected `str` matching regex '\^\[0-9a-f\].*' - at", "not a SHA-256 in hexadecimal, at", str(error)
    )
    return re.sub(
        r"Expected `str` matching regex '.*' - at", "not a plain name (it could lead out of its folder), at", text
    )


def entries(text: str | None) -> list[str]:
    """The entries of a comma-separated setting, without blanks around them and without empty ones."""
    return [entry for entry in (part.strip() for part in (text or "").split(",")) if entry]
