"""The Teach page: classes of one's own, photos, a report, and a model that serves. It runs in the browser."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from ui.appliance.client import Refused, Unreachable
from ui.view.page_context import ACCEPTED_TYPES, PageContext, accepted, part


class TeachView(Element, component="../components/teach.js"):
    """The Vue component: classes, photos, report, try, serve."""


def teach(context: PageContext) -> None:
    """Build the page."""
    text = context.text
    view = part(
        TeachView,
        t=text.part("refused", "live", "unknown", "teach"),
        language=text.language,
        names=context.names(),
        accept=ACCEPTED_TYPES,
        admission="",
        product=context.product.title(text),
    )

    async def ask() -> None:
        """Ask the appliance what it decodes, and whether this visitor may teach it."""
        context.remember_operator()
        try:
            api = await context.api()
            view.props["accept"] = accepted(await api.health())
            view.props["admission"] = str((await api.models()).get("admission", "allowed"))
        except Unreachable:
            view.props["admission"] = "away"
        except Refused as error:
            view.props["admission"] = "asks_key" if error.status == 401 else "closed"
        view.update()

    ui.timer(0.01, ask, once=True)
