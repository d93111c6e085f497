"""The Classify page: upload, results, heat map, feedback. It runs in the browser; the server keeps no photo."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from ui.appliance.client import Refused, Unreachable
from ui.server.paths import STATIC
from ui.view.page_context import ACCEPTED_TYPES, PageContext, accepted, part
from ui.view.phone import qr_code
from ui.view.product import Product

SAMPLES = ("dandelion", "grass", "dandelions", "pair")  # drawn by `python -m tests.ui.pictures.samples`


class ClassifyView(Element, component="../components/classify.js"):
    """The Vue component: drop zone, results, table, viewer."""


def classify(context: PageContext) -> None:
    """Build the page."""
    text, product = context.text, context.product
    desk = part(
        ClassifyView,
        t=text.part("classify", "refused", "unknown") | product.words(text, "classify"),
        language=text.language,
        labels=list(product.labels),
        names=context.names(),
        threshold=product.threshold,
        unknownThreshold=product.unknown_threshold,
        accept=ACCEPTED_TYPES,
        keeps=None,
        product={"drawing": product.drawing, "picture": context.picture, "file": product.file_name},
        samples=samples_of(context.prefix, product),
        phone=context.phone and {"url": context.phone, "code": qr_code(context.phone)},
    )

    async def ask_formats() -> None:
        """Ask the appliance what it decodes and keeps, shortly after the page is drawn."""
        try:
            health = await (await context.api()).health()
        except (Unreachable, Refused):
            return
        desk.props["accept"] = accepted(health)
        desk.props["keeps"] = health.get("keeps")
        desk.update()

    ui.timer(0.01, ask_formats, once=True)


def samples_of(prefix: str, product: Product) -> list[str]:
    """Addresses of drawn photos, for a model that knows what they show."""
    if not product.is_meadow:
        return []
    return [f"{prefix}{STATIC}/samples/{name}.webp" for name in SAMPLES]
