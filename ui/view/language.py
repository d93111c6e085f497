"""Localisation (i18n): English and French texts, formats of numbers and times, language negotiation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from runtime.names import UNKNOWN

LANGUAGES: Mapping[str, str] = {"en": "English", "fr": "Français"}
COOKIE = "dandelion_language"

_FOLDER = Path(__file__).parent / "translations"


class Texts:
    """The translations of one language. Keys are `page.name`; values may hold `{placeholders}`."""

    def __init__(self, language: str, names: Mapping[str, str] | None = None) -> None:
        """`language` is one of LANGUAGES; `names` are the classes that are not shown as they are called."""
        self.language = language
        self._names = names or {}
        self._texts = translations(language)

    def __call__(self, key: str, **values: object) -> str:
        """One text, filled in. Raises KeyError for an unknown key."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def part(self, *prefixes: str) -> dict[str, str]:
        """The texts of some pages, without their prefix, for a script of the page."""
        return {
            key.split(".", 1)[1]: text
            for prefix in prefixes
            for key, text in self._texts.items()
            if key.startswith(f"{prefix}.")
        }

    def label(self, label: str) -> str:
        """A class of the model, as it was typed if the product has no other name for it; UNKNOWN in words."""
        return self("unknown.none") if label == UNKNOWN else self._names.get(label, label)

    def number(self, value: float, digits: int = 0) -> str:
        """A number with `digits` decimals."""
        text = f"{value:,.{digits}f}"
        if self.language == "fr":
            return text.replace(",", "\u202f").replace(".", ",")
        return text

    def percent(self, share: float, digits: int = 1) -> str:
        """A share (0..1) in percent."""
        space = "\u202f" if self.language == "fr" else ""
        return f"{self.number(100 * share, digits)}{space}%"

    def clock(self, at: float) -> str:
        """A moment (Unix time, s) as this machine's time of day."""
        return time.strftime("%H:%M:%S", time.localtime(at))

    def duration(self, seconds: float) -> str:
        """A duration in its largest unit that is not below one."""
        for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
            if seconds >= length:
                value = round(seconds / length, 1 if seconds < 10 * length else 0)
                return f"{self.number(value, 0 if value == int(value) else 1)} {self(f'unit.{unit}')}"
        return f"{self.number(seconds)} s"


@cache
def translations(language: str) -> Mapping[str, str]:
    """All texts of a language: of the file named for it, and of those of single pages."""
    files = (_FOLDER / f"{language}.json", *sorted(_FOLDER.glob(f"*.{language}.json")))
    return {
        key: text for file in files for key, text in msgspec.json.decode(file.read_bytes(), type=dict[str, str]).items()
    }


def preferred(cookie: str | None, accepted: str) -> str:
    """The visitor's language: the one chosen before, else the first that Accept-Language and we have in common."""
    if cookie and cookie in LANGUAGES:
        return cookie
    weighted = []
    for place, entry in enumerate(accepted.split(",")):
        name, _, weight = entry.partition(";q=")
        weighted.append((-_quality(weight), place, name.strip().lower()[:2]))
    return next((name for quality, _, name in sorted(weighted) if name in LANGUAGES and quality), "en")


def _quality(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
