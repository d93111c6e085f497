"""HTML elements without a widget library's style."""

from __future__ import annotations

from html import escape
from typing import Any

from nicegui import ui
from nicegui.element import Element

# Filled by `ui/static/connection.js` while the page's own server is away; shown in place of what stands before it.
GONE_WORDS = '<span class="gone-words"></span>'


class Tag(Element):
    """One HTML element with a text; `class_` and the other attributes as in HTML, `_` for `-`."""

    def __init__(self, tag: str, text: str = "", *, class_: str = "", **attributes: Any) -> None:
        """Create it in the current slot of the page."""
        super().__init__(tag)
        self._text = text or None
        if class_:
            self.classes(class_)
        for name, value in attributes.items():
            self.props[name.rstrip("_").replace("_", "-")] = value

    def set_text(self, text: str) -> None:
        """Change its text; nothing is sent if it is the same."""
        if text != (self._text or ""):
            self._text = text or None
            self.update()

    def show(self, visible: bool) -> None:
        """Show or hide it, from screen readers, too."""
        if bool(self.props.get("hidden")) == visible:
            if visible:
                self.props.pop("hidden", None)
            else:
                self.props["hidden"] = True
            self.update()


class Markup:
    """A block of our own HTML that is sent again only where it changed. What goes in must be escaped: `escape`."""

    def __init__(self, tag: str = "div", *, class_: str = "") -> None:
        """An empty block."""
        self._element = ui.html("", sanitize=False, tag=tag).classes(class_)

    @property
    def is_deleted(self) -> bool:
        """Whether the page has gone on without it."""
        return self._element.is_deleted

    def put(self, markup: str) -> None:
        """Show `markup`."""
        if markup != self._element.content:
            self._element.set_content(markup)


__all__ = ["GONE_WORDS", "Markup", "Tag", "escape"]
