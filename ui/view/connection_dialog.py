"""The dialog that chooses the appliance and takes the API key."""

from __future__ import annotations

from collections.abc import Callable

from nicegui.events import GenericEventArguments

from ui.appliance.targets import LOCAL
from ui.server.sessions import Session
from ui.view.elements import Markup, Tag
from ui.view.page_context import PageContext
from ui.view.phone import qr_code

MAX_KEY = 200  # characters; `python -m runtime key` makes 43

# The key leaves the field at once: it is not to be read from the page again.
_TAKE = """(event) => {
  event.preventDefault();
  const form = event.currentTarget, key = form.elements.key;
  emit({target: form.elements.target?.value ?? "", key: key.value, forget: form.elements.forget?.checked ?? false});
  key.value = "";
  form.closest("dialog").close();
}"""


class Connection:
    """One visitor's dialog."""

    def __init__(self, context: PageContext, changed: Callable[[], None]) -> None:
        """`changed` is called after the visitor has chosen."""
        self._context = context
        self._changed = changed

    @property
    def opener(self) -> str:
        """The script that opens it."""
        return "() => document.getElementById('connection').showModal()"

    def dialog(self) -> None:
        """Draw it, closed."""
        text, session = self._context.text, self._context.session
        with Tag("dialog", id="connection", class_="sheet-dialog", aria_label=text("connection.title")):
            with Tag("form", method="dialog") as form:
                Tag("h2", text("connection.title"))
                self._targets()
                with Tag("label", class_="field"):
                    Tag("span", text("connection.key"))
                    Tag(
                        "input",
                        type="password",
                        name="key",
                        autocomplete="off",
                        spellcheck="false",
                        placeholder=text("connection.key_set") if session.key else "",
                    )
                Tag("p", text("connection.key_note"), class_="small")
                if session.key:
                    with Tag("label", class_="choice"):
                        Tag("input", type="checkbox", name="forget")
                        Tag("span", text("connection.forget"))
                if self._context.phone:
                    with Tag("div", class_="phone"):
                        Markup(class_="code").put(qr_code(self._context.phone))
                        with Tag("div"):
                            Tag("b", text("classify.phone"))
                            Tag("a", self._context.phone, href=self._context.phone)
                with Tag("div", class_="row end"):
                    close = Tag("button", text("connection.cancel"), class_="button", type="button")
                    close.on("click", js_handler="(event) => event.currentTarget.closest('dialog').close()")
                    Tag("button", text("connection.use"), class_="button primary", type="submit")
            form.on("submit", self._take, js_handler=_TAKE)

    def _targets(self) -> None:
        text = self._context.text
        with Tag("fieldset", class_="choices"):
            Tag("legend", text("connection.which"))
            for key in self._context.targets.keys:
                with Tag("label", class_="choice"):
                    radio = Tag("input", type="radio", name="target", value=key)
                    if key == self._context.session.target:
                        radio.props["checked"] = True
                    with Tag("span"):
                        Tag("b", text("connection.local") if key == LOCAL else key)
                        note = "connection.local_note" if key == LOCAL else "connection.remote_note"
                        Tag("small", text(note))

    def _take(self, event: GenericEventArguments) -> None:
        session = self._context.session
        target, key = str(event.args["target"]), str(event.args["key"]).strip()
        if target in self._context.targets.keys and target != session.target:
            session = Session(target)  # a key is for one appliance, and shown to no other
        if event.args["forget"]:
            session = Session(session.target)
        if key and len(key) <= MAX_KEY and key.isascii() and key.isprintable():
            session = Session(session.target, key)
        self._context.choose(session)
        self._changed()
