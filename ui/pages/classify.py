"""The Classify page: upload, results, heat map, feedback. It runs in the browser; the server keeps no photo."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from ui.appliance.client import Refused, Unreachable
from ui.view.page_context import ACCEPTED_TYPES, PageContext, part

LABELS = ("dandelion", "grass")  # until the appliance has said its own


class ClassifyView(Element, component="../components/classify.js"):
    """The Vue component: drop zone, results, table, viewer."""


def classify(context: PageContext) -> None:
    """Build the page."""
    text = context.text
    desk = part(
        ClassifyView,
        t=text.part("classify", "refused"),
        language=text.language,
        labels=list(LABELS),
        names=context.names(list(LABELS)),
        threshold=0,
        accept=ACCEPTED_TYPES,
    )

    async def describe() -> None:
        """Fetch the labels and the abstention threshold of the model, shortly after the page is drawn."""
        try:
            model = await (await context.api()).model()
            labels, threshold = model["manifest"]["labels"], model["serving"]["abstain_threshold"]
        except (Unreachable, Refused, KeyError):
            return
        desk.props.update({"labels": labels, "names": context.names(labels), "threshold": threshold})
        desk.update()

    ui.timer(0.01, describe, once=True)
