"""SVG icons of the layout."""

from __future__ import annotations

from collections.abc import Mapping


def _icon(paths: str) -> str:
    return f'<svg viewBox="0 0 24 24" class="icon">{paths}</svg>'


MARK = (
    '<svg viewBox="0 0 32 32" class="mark"><g class="rays"><path d="M16 13V4M16 13l6.4-6.4M16 13h9M16 13l6.4 6.4'
    'M16 13L9.600 6.600M16 13H7M16 13l-6.400 6.400"/></g><path class="stem" d="M16 14c0 6-1 10-3 15"/>'
    '<circle cx="16" cy="13" r="3"/></svg>'
)
LENS = (
    '<svg viewBox="0 0 32 32" class="mark"><circle class="rim" cx="16" cy="16" r="12"/>'
    '<path class="blades" d="M22 16l-.6 10.700M19 21.200l-9.600 4.700M13 21.200L4.200 15M10 16l.6-10.700'
    'M13 10.800l9.600-4.700M19 10.800L27.800 17"/><path class="opening" d="M22 16l-3 5.200h-6L10 16l3-5.200h6z"/></svg>'
)
PAGE_ICONS: Mapping[str, str] = {
    "classify": _icon('<rect x="4" y="5" width="16" height="14" rx="3"/><path d="M4 16l5-5 4 4 3-3 4 4"/>'),
    "live": _icon('<circle cx="12" cy="12" r="3"/><path d="M3 12c4-7 14-7 18 0-4 7-14 7-18 0z"/>'),
    "teach": _icon('<path d="M12 21v-9M12 12c0-4 3-7 8-7 0 5-3 8-8 7zM12 15c0-3-2.500-5-7-5 0 4 3 6 7 5z"/>'),
    "monitor": _icon('<path d="M3 13h4l3-8 4 14 3-6h4"/>'),
    "versions": _icon('<path d="M12 4l8 4-8 4-8-4zM4 12l8 4 8-4M4 16l8 4 8-4"/>'),
    "benchmark": _icon('<path d="M5 19a9 9 0 1 1 14 0M12 14l4-5"/><circle cx="12" cy="14" r="1"/>'),
}
# "None of these": the sign of the empty set, as in `ui/static/unknown.js`.
NONE = (
    '<svg class="icon unknown-icon" viewBox="4 4 16 16" aria-hidden="true"><circle cx="12" cy="12" r="6"/>'
    '<path d="M5.500 18.500l13-13"/></svg>'
)
THEME = _icon('<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>')
CONNECTION = _icon('<path d="M5 12a10 10 0 0 1 14 0M8 15.500a5.500 5.500 0 0 1 8 0"/><circle cx="12" cy="19" r="1"/>')
