"""The Models page: which versions there are, which one serves, and an operator's word on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element

from ui.api import Api, Away, Refused
from ui.language import Texts
from ui.pages.classify import LABELS
from ui.tags import Markup, Tag, escape
from ui.visit import Visit, part

Models = Mapping[str, Any]


class Compare(Element, component="../components/compare.js"):
    """Two versions on the same photo."""


class _Versions:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        text = visit.text
        with Tag("div", class_="page-head"):
            Tag("h1", text("versions.title"))
            Tag("p", text("versions.lead"), class_="lead")
        self._said = Tag("p", class_="note", role="status", hidden=True)
        self._store = Markup(class_="status-line")
        self._list = Tag("div", class_="versions")
        self._compare = Tag("div")
        ui.timer(0.01, self._fetch, once=True)

    async def _fetch(self) -> None:
        await self._do(lambda api, _: api.models(), said="")

    async def _do(self, ask: Callable[[Api, str], Awaitable[Models]], said: str) -> None:
        text = self._visit.text
        try:
            models = await ask(await self._visit.api(), self._visit.session.key)
        except Away:
            self._say(text("versions.away"), bad=True)
            return
        except Refused as error:
            self._say(_refusal(error, text), bad=True)
            return
        self._say(said, bad=False)
        self._draw(models)

    def _say(self, words: str, *, bad: bool) -> None:
        self._said.classes(add="warn" if bad else "", remove="" if bad else "warn")
        self._said.say(words)
        self._said.show(bool(words))

    def _draw(self, models: Models) -> None:
        text = self._visit.text
        self._store.put(_store(models, text))
        self._list.clear()
        with self._list:
            for version in reversed(models["versions"]):
                self._card(models, version)
            self._follow(models)
        self._compare.clear()
        if len(models["versions"]) < 2:
            return
        with self._compare:
            part(
                Compare,
                t=text.part("compare", "refused"),
                language=text.language,
                names=self._visit.names(list(LABELS)),
                versions=[version["version"] for version in reversed(models["versions"])],
                serving=models["serving"],
            )

    def _card(self, models: Models, version: Mapping[str, Any]) -> None:
        text, name = self._visit.text, str(version["version"])
        serves = version["status"] == "serving"
        with Tag("article", class_=f"panel version {version['status']}", aria_label=name):
            Markup(class_="version-head").put(_badges(models, version, text))
            Markup().put(_facts(version, text, self._visit.mlflow))
            if version["reason"]:
                Tag("p", str(version["reason"]), class_="why")
            if models["source"] is None:
                return
            with Tag("div", class_="row"):
                if not serves:
                    self._button("versions.load", lambda api, key: api.load(name, key), "versions.loaded", name)
                if models["pinned"] != name:
                    self._button("versions.pin", lambda api, key: api.pin(name, key), "versions.pinned", name)

    def _follow(self, models: Models) -> None:
        if models["source"] is None:
            Tag("p", self._visit.text("versions.one_bundle"), class_="note")
            return
        with Tag("div", class_="row"):
            if models["pinned"]:
                self._button("versions.unpin", lambda api, key: api.pin(None, key), "versions.unpinned", "")
            if models.get("previous"):
                self._button("versions.roll_back", lambda api, key: api.roll_back(key), "versions.rolled_back", "")
        if not self._visit.session.key:
            Tag("p", self._visit.text("versions.needs_key"), class_="small")

    def _button(self, label: str, ask: Callable[[Api, str], Awaitable[Models]], said: str, name: str) -> None:
        text = self._visit.text
        button = Tag("button", text(label), class_="button", type="button")
        if name:
            button.props["aria-label"] = f"{text(label)} {name}"

        async def act() -> None:
            button.props["disabled"] = True
            button.update()
            await self._do(ask, text(said, version=name))
            if not button.is_deleted:
                button.props.pop("disabled")
                button.update()

        button.on("click", act)


def versions(visit: Visit) -> None:
    """Build the page."""
    _Versions(visit)


def _refusal(error: Refused, text: Texts) -> str:
    if error.status == 401:
        return text("versions.wrong_key")
    if error.status == 403:
        return text("versions.nobody")
    return text("versions.refused", detail=error.detail)


def _store(models: Models, text: Texts) -> str:
    if models["source"] is None:
        return f'<i class="dot blank"></i><strong>{escape(text("versions.no_store"))}</strong>'
    state = models["store"]
    kind, words = ("up", "versions.store_up") if state["reachable"] else ("away", "versions.store_away")
    detail = f'<span class="reason">{escape(str(state["detail"]))}</span>' if state["detail"] else ""
    source = escape(str(models["source"]))
    return f'<i class="dot {kind}"></i><strong>{escape(text(words))}</strong><code>{source}</code>{detail}'


def _badges(models: Models, version: Mapping[str, Any], text: Texts) -> str:
    name = str(version["version"])
    badges = []
    if version["status"] == "serving":
        badges.append(("serves", text("versions.serves")))
    if version["status"] == "refused":
        badges.append(("bad", text("versions.is_refused")))
    if models["pinned"] == name:
        badges.append(("", text("versions.is_pinned")))
    if models["latest"] == name:
        badges.append(("", text("versions.latest")))
    if version["cached"]:
        badges.append(("", text("versions.cached")))
    marks = "".join(f'<span class="badge {kind}">{escape(words)}</span>' for kind, words in badges)
    return f"<h2>{escape(name)}</h2>{marks}"


def _facts(version: Mapping[str, Any], text: Texts, mlflow: str | None) -> str:
    run = version["mlflow_run"]
    rows = [
        (text("versions.accuracy"), text.percent(version["accuracy"])),
        (text("versions.f1"), text.percent(version["f1"])),
        (text("versions.difference"), text("versions.points", points=text.number(100 * version["accuracy_loss"], 1))),
        (text("versions.agreement"), text.percent(version["agreement"])),
        (text("versions.size"), f"{text.number(version['size_bytes'] / 1e6, 1)} MB"),
        (text("versions.input"), f"{version['image_size']} px"),
        (text("versions.dataset"), str(version["dataset_sha256"])[:12]),
        (text("versions.created"), str(version["created"])[:16].replace("T", " ")),
    ]
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    if run:
        cells += f"<div><dt>MLflow</dt><dd>{_link(str(run), mlflow)}</dd></div>"
    return f'<dl class="facts-grid">{cells}</dl>'


def _link(run: str, mlflow: str | None) -> str:
    name = escape(run[:12])
    if mlflow is None:
        return name
    return f'<a href="{escape(f"{mlflow}/#/runs/{quote(run)}")}" target="_blank" rel="noreferrer noopener">{name}</a>'
