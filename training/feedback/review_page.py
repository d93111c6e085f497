"""Review page: the corrected photos that wait for a reviewer, as one HTML file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import jinja2

from runtime.cli.say import interpreter
from runtime.serving.feedback import MAX_PHOTO_BYTES
from runtime.serving.feedback.review import Corrected, corrections
from runtime.store import Store
from training.evaluation.thumbnails import thumbnail

MOST = 500  # pictures in one page


class _Shown(NamedTuple):
    """One photo, what was said of it, and the beginning of its SHA-256, which names it on the command line."""

    corrected: Corrected
    name: str
    picture: str | None


def write_review_page(store: Store, file: Path, product: str | None = None) -> int:
    """Write the page, of one `product` or all; returns how many photos wait, of which it shows the oldest MOST."""
    waiting = [one for one in corrections(store, product) if one.reviewed is None]
    shown = [_Shown(one, one.sha256[:12], thumbnail(_photo(store, one))) for one in waiting[:MOST]]
    products = sorted({one.product for one in waiting})
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    about = {
        "photos": shown, "waiting": len(waiting), "store": store.uri, "products": products, "python": interpreter(),
    }  # fmt: skip
    html = environment.get_template("review.html.j2").render(about)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(html, encoding="utf-8")
    return len(waiting)


def _photo(store: Store, one: Corrected) -> bytes:
    """Empty where it is no longer the one that was corrected: nobody is to accept one photo for another."""
    data, _ = store.read(one.photo, max_bytes=MAX_PHOTO_BYTES)
    return data if hashlib.sha256(data).hexdigest() == one.sha256 else b""
