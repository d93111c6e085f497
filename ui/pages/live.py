"""The Live page: classify camera frames, one at a time."""

from __future__ import annotations

from nicegui.element import Element

from ui.view.page_context import PageContext, part


class Camera(Element, component="../components/live.js"):
    """Viewfinder, heat, rate."""


def live(context: PageContext) -> None:
    """Build the page."""
    text = context.text
    words = text.part("live", "pauses", "unknown") | context.product.words(text, "live")
    part(Camera, t=words, language=text.language, names=context.names())
