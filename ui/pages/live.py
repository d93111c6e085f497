"""The Live page: classify camera frames, one at a time."""

from __future__ import annotations

from nicegui.element import Element

from ui.pages.classify import LABELS
from ui.view.page_context import PageContext, part


class Camera(Element, component="../components/live.js"):
    """Viewfinder, heat, rate."""


def live(context: PageContext) -> None:
    """Build the page."""
    text = context.text
    part(Camera, t=text.part("live", "pauses"), language=text.language, names=context.names(list(LABELS)))
