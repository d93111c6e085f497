"""The Classify page. It lives in the browser: the photos never stay on the server."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from ui.api import Away, Refused
from ui.visit import Visit, part

LABELS = ("dandelion", "grass")  # until the appliance has said its own


class Desk(Element, component="../components/classify.js"):
    """Drop zone, results, table, viewer."""


def classify(visit: Visit) -> None:
    """Build the page."""
    text = visit.text
    desk = part(
        Desk,
        t=text.part("classify", "refused"),
        language=text.language,
        labels=list(LABELS),
        names=visit.names(list(LABELS)),
        threshold=0,
    )

    async def describe() -> None:
        """What the model is called upon to tell apart: known a moment after the page is there."""
        try:
            model = await (await visit.api()).model()
            labels, threshold = model["manifest"]["labels"], model["serving"]["abstain_threshold"]
        except (Away, Refused, KeyError):
            return
        desk.props.update({"labels": labels, "names": visit.names(labels), "threshold": threshold})
        desk.update()

    ui.timer(0.01, describe, once=True)
