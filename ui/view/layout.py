"""The page layout: header, navigation, appliance status, language and theme switches, connection dialog."""

from __future__ import annotations

import json
from collections.abc import Callable

from nicegui import background_tasks, ui
from nicegui.element import Element

from ui.pages.benchmark import benchmark
from ui.pages.classify import classify
from ui.pages.live import live
from ui.pages.monitor import monitor
from ui.pages.teach import teach
from ui.pages.versions import versions
from ui.server.paths import BENCHMARK, CLASSIFY, LIVE, MONITOR, STATIC, TEACH, VERSIONS
from ui.view.connection_dialog import Connection
from ui.view.elements import GONE_WORDS, Markup, Tag, escape
from ui.view.icons import CONNECTION, LENS, MARK, PAGE_ICONS, THEME
from ui.view.language import COOKIE, LANGUAGES, Texts
from ui.view.page_context import PageContext
from ui.view.product import isolated

BUILDERS: dict[str, tuple[str, Callable[[PageContext], None]]] = {
    CLASSIFY: ("classify", classify),
    LIVE: ("live", live),
    TEACH: ("teach", teach),
    MONITOR: ("monitor", monitor),
    VERSIONS: ("versions", versions),
    BENCHMARK: ("benchmark", benchmark),
}
STATE_INTERVAL_S = 4.0
ICON = "for (const link of document.querySelectorAll('link[rel~=icon]')) link.href = {}"
FOCUS = "requestAnimationFrame(() => document.getElementById('main')?.focus({preventScroll: true}))"


class Layout:
    """The layout of one open page; it is redrawn when the language or the appliance changes."""

    def __init__(self, context: PageContext) -> None:
        """Draw it."""
        self._context = context
        self._client = ui.context.client
        self._router = self._client.sub_pages_router
        self._links: dict[str, Element] = {}
        self._state: Markup | None = None
        self._described = ""  # the version whose product is shown
        self._root = Tag("div", class_="app")
        self._router.on_path_changed(self._on_path_changed)
        self._draw()
        ui.timer(STATE_INTERVAL_S, self._refresh_state)

    def _draw(self) -> None:
        text = self._context.text
        self._root.clear()
        self._root.props["data-gone"] = self._plain("frame.away")
        self._root.props["data-notice"] = self._plain("frame.gone_notice")
        with self._root:
            ui.html('<p class="gone-words" data-words="notice"></p>', sanitize=False).classes("gone-notice").props(
                "role=alert"
            )
            Tag("a", text("frame.skip"), class_="skip", href="#main")
            with Tag("header", class_="top"):
                self._brand(text)
                self._navigation(text)
                self._tools(text)
            with Tag("div", id="main", tabindex="-1"):  # NiceGUI's own <main> is around everything
                ui.sub_pages({path: self._page(path) for path in BUILDERS}, show_404=False)
        self._mark_current(self._router.current_path)
        self._client.run_javascript(ICON.format(json.dumps(self._icon)))

    def _brand(self, text: Texts) -> None:
        context, title = self._context, self._context.product.title(text)
        with Tag("div", class_="brand", title=title):
            if context.picture:
                Tag("img", class_="mark", src=context.picture, alt="")
            else:
                drawing = MARK if context.product.is_meadow else LENS
                ui.html(drawing, sanitize=False).props("aria-hidden=true")
            Tag("span", title, dir="auto")

    @property
    def _icon(self) -> str:
        return self._context.picture or f"{self._context.prefix}{STATIC}/{self._context.product.drawing}.svg"

    def _plain(self, key: str) -> str:
        """A text with its placeholder, which the page's script fills in."""
        return self._context.text(key, since="{since}")

    def _page(self, path: str) -> Callable[[], None]:
        return lambda: BUILDERS[path][1](self._context)

    def _navigation(self, text: Texts) -> None:
        with Tag("nav", class_="pages", aria_label=text("frame.pages")):
            for path, (name, _) in BUILDERS.items():
                with Tag("a", href=self._context.prefix + path) as link:
                    ui.html(PAGE_ICONS[name], sanitize=False, tag="span").props("aria-hidden=true")
                    Tag("span", text(f"frame.{name}"))
                self._links[path] = link

    def _tools(self, text: Texts) -> None:
        connection = Connection(self._context, changed=self._changed)
        with Tag("div", class_="tools"):
            opener = Tag(
                "button", class_="state", type="button", aria_haspopup="dialog", title=text("frame.connection")
            )
            with opener:
                ui.html(CONNECTION, sanitize=False, tag="span").props("aria-hidden=true").classes("state-icon")
                Tag("span", text("frame.connection"), class_="unseen")
                self._state = Markup("span")
            opener.on("click", js_handler=connection.opener)
            for language, name in LANGUAGES.items():
                if language != text.language:
                    button = Tag(
                        "button", language.upper(), class_="tool", type="button", lang=language, aria_label=name
                    )
                    button.on("click", lambda _, language=language: self._switch_language(language))
            look = Tag("button", class_="tool", type="button", aria_label=text("frame.theme"))
            with look:
                ui.html(THEME, sanitize=False, tag="span").props("aria-hidden=true")
            look.on("click", js_handler="() => window.dandelionTheme()")
        connection.dialog()

    def _switch_language(self, language: str) -> None:
        self._context.speak(language)
        self._client.run_javascript(
            f"document.cookie = '{COOKIE}={language}; Path=/; Max-Age=31536000; SameSite=Strict';"
            f"document.documentElement.lang = '{language}'"
        )
        self._draw()
        self._client.run_javascript(FOCUS)
        background_tasks.create(self._refresh_state())

    def _changed(self) -> None:
        """Redraw the page for another appliance or key, and let its scripts retry."""
        background_tasks.create(self._redraw())

    async def _redraw(self) -> None:
        self._described = ""
        await self._context.describe(anew=True)
        if self._root.is_deleted:
            return
        self._draw()
        self._client.run_javascript("window.dispatchEvent(new Event('dandelion-appliance'))")
        await self._refresh_state()

    def _on_path_changed(self, path: str) -> None:
        self._mark_current(path)
        self._client.run_javascript(FOCUS)

    def _mark_current(self, current: str) -> None:
        path = current.partition("?")[0].partition("#")[0]
        text = self._context.text
        for target, link in self._links.items():
            if target == path:
                link.props["aria-current"] = "page"
            else:
                link.props.pop("aria-current", None)
            link.update()
        if path in BUILDERS:
            title = f"{text(f'frame.{BUILDERS[path][0]}')} · {isolated(self._context.product.title(text))}"
            with self._client:
                ui.page_title(title)

    async def _refresh_state(self) -> None:
        state = await self._context.targets.state(self._context.session.target)
        if state.up and state.version != self._described:
            await self._show_product(state.version)
        text = self._context.text
        if self._state is None:
            return
        if not state.up:
            words, kind = text("frame.away", since=text.clock(state.since)), "away"
        elif state.reasons:
            words, kind = text("frame.degraded"), "degraded"
        else:
            words, kind = text("frame.ready"), "up"
        self._state.put(
            f'<i class="dot {kind}"></i><span class="state-words">{escape(words)}</span>{GONE_WORDS}'
            f'<span class="state-version">{escape(state.version)}</span>'
        )

    async def _show_product(self, version: str) -> None:
        """Redraw the page where the appliance serves another product than it did."""
        changed = await self._context.describe()
        if self._context.is_described:
            self._described = version
        if changed and not self._root.is_deleted:
            self._draw()


def build(context: PageContext) -> None:
    """Build a page."""
    Layout(context)
