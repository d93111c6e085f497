"""The Live page: the camera, classified frame by frame."""

from __future__ import annotations

from nicegui.element import Element

from ui.pages.classify import LABELS
from ui.visit import Visit, part


class Camera(Element, component="../components/live.js"):
    """Viewfinder, heat, rate."""


def live(visit: Visit) -> None:
    """Build the page."""
    text = visit.text
    part(Camera, t=text.part("live", "pauses"), language=text.language, names=visit.names(list(LABELS)))
