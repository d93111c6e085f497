"""The corrected photos that wait for somebody to look at them, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jinja2

from runtime.store import Store
from training.review import Corrected, corrections
from training.thumbnails import thumbnail

MOST = 500  # pictures in one page


class _Shown(NamedTuple):
    """One photo, what was said of it, and the beginning of its SHA-256, which names it on the command line."""

    corrected: Corrected
    name: str
    picture: str | None


def write_review_page(store: Store, file: Path) -> int:
    """Write the page; returns how many photos wait, of which the page shows the oldest MOST."""
    waiting = [one for one in corrections(store) if one.reviewed is None]
    shown = [_Shown(one, one.sha256[:12], thumbnail(store.read(one.photo)[0])) for one in waiting[:MOST]]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    html = environment.get_template("review.html.j2").render(photos=shown, waiting=len(waiting), store=store.uri)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(html, encoding="utf-8")
    return len(waiting)
