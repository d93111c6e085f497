"""The QR code of the page's address, for a phone to open it."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=8)
def qr_code(url: str) -> str:
    """The QR code of an address, as SVG: dark on white in either look, as cameras want it."""
    import segno  # noqa: PLC0415 - most pages are opened on a phone or reached by none, and need no memory for it

    svg: str = segno.make_qr(url, error="m").svg_inline(border=2, omitsize=True, dark="#1b2a1c", light="#ffffff")
    return svg
