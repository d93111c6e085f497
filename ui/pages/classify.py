"""The Classify page: upload, results, heat map, feedback. It runs in the browser; the server keeps no photo."""

from __future__ import annotations

from nicegui.element import Element

from ui.view.page_context import ACCEPTED_TYPES, PageContext, part


class ClassifyView(Element, component="../components/classify.js"):
    """The Vue component: drop zone, results, table, viewer."""


def classify(context: PageContext) -> None:
    """Build the page."""
    text, product = context.text, context.product
    part(
        ClassifyView,
        t=text.part("classify", "refused") | product.words(text, "classify"),
        language=text.language,
        labels=list(product.labels),
        names=context.names(),
        threshold=product.threshold,
        accept=ACCEPTED_TYPES,
        product={"drawing": product.drawing, "picture": context.picture, "file": product.file_name},
    )
