"""The Models page: versions in the registry, their validation metrics, activation, pinning, comparison."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from nicegui import background_tasks, ui
from nicegui.element import Element

from runtime.names import UNKNOWN
from ui.appliance.client import Api, Refused, Unreachable
from ui.view.elements import Markup, Tag, escape
from ui.view.icons import NONE
from ui.view.language import Texts
from ui.view.page_context import ACCEPTED_TYPES, PageContext, part

Models = Mapping[str, Any]
Ask = Callable[[Api], Awaitable[Models]]

LOOK_AGAIN_S = 2.0  # while a version is on trial
SHOWN_CLASSES = 60
_THUMBNAIL = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/]{1,100000}={0,2}")


class Compare(Element, component="../components/compare.js"):
    """Two versions on the same photo."""


class _Versions:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        text = context.text
        with Tag("div", class_="page-head"):
            Tag("h1", text("versions.title"))
            Tag("p", text("versions.lead"), class_="lead")
        self._said = Tag("p", class_="note", role="status", hidden=True)
        self._store = Markup(class_="status-line")
        self._list = Tag("div", class_="versions")
        self._compare = Tag("div")
        ui.timer(0.01, self._fetch, once=True)

    async def _fetch(self) -> None:
        await self._do(Api.models, said="", key_words="versions.asks_key")

    async def _do(self, ask: Ask, said: str, *, key_words: str = "versions.wrong_key") -> None:
        text = self._context.text
        try:
            models = await ask(await self._context.api())
        except Unreachable:
            self._say(text("versions.away"), bad=True)
            return
        except Refused as error:
            self._say(_refusal(error, text, key_words), bad=True)
            return
        trying = next((row["version"] for row in models["versions"] if row["status"] == "trying"), None)
        self._say(text("versions.on_trial", version=trying) if said and trying else said, bad=False)
        self._draw(models)
        if trying:
            ui.timer(LOOK_AGAIN_S, self._fetch, once=True)

    def _say(self, words: str, *, bad: bool) -> None:
        self._said.classes(add="warn" if bad else "", remove="" if bad else "warn")
        self._said.set_text(words)
        self._said.show(bool(words))

    def _draw(self, models: Models) -> None:
        text = self._context.text
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
                t=text.part("compare", "refused", "unknown"),
                language=text.language,
                names=self._context.names(),
                versions=[version["version"] for version in reversed(models["versions"])],
                serving=models["serving"],
                accept=ACCEPTED_TYPES,
            )

    def _card(self, models: Models, version: Mapping[str, Any]) -> None:
        text, name = self._context.text, str(version["version"])
        serves = version["status"] == "serving"
        with Tag("article", class_=f"panel version {version['status']}", aria_label=name):
            Markup(class_="version-head").put(_badges(models, version, text))
            Markup().put(_facts(version, text, self._context.mlflow, several=_several_products(models)))
            classes = Markup()
            classes.put(_classes(version, text))
            if serves:
                background_tasks.create(self._show_examples(classes, version))
            if version["reason"]:
                Tag("p", str(version["reason"]), class_="why")
            if models["source"] is None or _admission(models) != "allowed":
                return
            with Tag("div", class_="row"):
                local = "_local" if models.get("local") else ""
                if version["status"] in ("available", "refused"):
                    self._button("versions.load", lambda api: api.load(name), f"versions.loaded{local}", name)
                if models["pinned"] != name:
                    self._button("versions.pin", lambda api: api.pin(name), f"versions.pinned{local}", name)

    async def _show_examples(self, classes: Markup, version: Mapping[str, Any]) -> None:
        """Add photos to the classes of the model that serves, for visitors who may see them."""
        with suppress(Unreachable, Refused):
            found = await (await self._context.api()).examples()
            if found and not classes.is_deleted:
                classes.put(_classes(version, self._context.text, found))

    def _follow(self, models: Models) -> None:
        text, admission = self._context.text, _admission(models)
        if models["source"] is None:
            Tag("p", text("versions.one_bundle"), class_="note")
            return
        if admission != "allowed":
            Tag("p", text(f"versions.admission_{admission}"), class_="note admission")
            return
        with Tag("div", class_="row"):
            local = "_local" if models.get("local") else ""
            if models["pinned"]:
                unpin, unpinned = f"versions.unpin{local}", f"versions.unpinned{local}"
                self._button(unpin, lambda api: api.pin(None), unpinned, "")
            if models.get("previous"):
                self._button("versions.roll_back", Api.roll_back, "versions.rolled_back", "")

    def _button(self, label: str, ask: Ask, said: str, name: str) -> None:
        text = self._context.text
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


def versions(context: PageContext) -> None:
    """Build the page."""
    _Versions(context)


def _admission(models: Models) -> str:
    """Whether this visitor may change the model; an appliance of an earlier release does not say."""
    return str(models.get("admission", "allowed"))


def _classes(version: Mapping[str, Any], text: Texts, examples: Mapping[str, list[str]] | None = None) -> str:
    """The classes of a version, with photos where there are some."""
    labels = [str(label) for label in version.get("labels", [])]
    items = "".join(
        f'<li><span class="thumbs">{_thumbs((examples or {}).get(label, []))}</span>'
        f'<span class="class-name" dir="auto">{escape(text.label(label))}</span></li>'
        for label in labels[:SHOWN_CLASSES]
    )
    if len(labels) > SHOWN_CLASSES:
        more = text("versions.more_classes", count=text.number(len(labels) - SHOWN_CLASSES))
        items += f'<li><span class="class-name">{escape(more)}</span></li>'
    if version.get("unknown"):
        items += f'<li><span class="class-name unknown">{NONE}{escape(text.label(UNKNOWN))}</span></li>'
    words = text("versions.classes", count=text.number(len(labels)))
    kind = "classes with-photos" if examples else "classes"
    return f'<h3 class="small">{escape(words)}</h3><ul class="{kind}">{items}</ul>' if labels else ""


def _thumbs(pictures: list[str]) -> str:
    fit = [picture for picture in pictures if _THUMBNAIL.fullmatch(picture)]
    return "".join(f'<img src="{picture}" alt="" loading="lazy">' for picture in fit)


def _size(version: Mapping[str, Any], text: Texts) -> str:
    """As the export prints it: MB are millions of bytes."""
    whole = version["size_bytes"] / 1e6
    model = version.get("model_bytes", version["size_bytes"]) / 1e6
    words = f"{text.number(model, 1)} MB"
    return words if whole - model < 0.05 else text("versions.size_whole", model=words, whole=text.number(whole, 1))


def _refusal(error: Refused, text: Texts, key_words: str) -> str:
    if error.status == 401:
        return text(key_words)
    if error.status == 403:
        return text("versions.nobody")
    return text("versions.refused", detail=error.detail)


def _store(models: Models, text: Texts) -> str:
    if models["source"] is None:
        return f'<i class="dot blank"></i><strong>{escape(text("versions.no_store"))}</strong>'
    source = f"<code>{escape(str(models['source']))}</code>"
    if models.get("local"):
        return f'<i class="dot up"></i><strong>{escape(text("versions.local"))}</strong>{source}'
    state = models["store"]
    kind, words = ("up", "versions.store_up") if state["reachable"] else ("away", "versions.store_away")
    detail = f'<span class="reason">{escape(str(state["detail"]))}</span>' if state["detail"] else ""
    return f'<i class="dot {kind}"></i><strong>{escape(text(words))}</strong>{source}{detail}'


def _badges(models: Models, version: Mapping[str, Any], text: Texts) -> str:
    name = str(version["version"])
    badges = []
    if version["status"] == "serving":
        badges.append(("serves", text("versions.serves")))
    if version["status"] == "trying":
        badges.append(("", text("versions.is_trying")))
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


def _several_products(models: Models) -> bool:
    return len({version.get("name") for version in models["versions"]}) > 1


def _facts(version: Mapping[str, Any], text: Texts, mlflow: str | None, *, several: bool) -> str:
    run = version["mlflow_run"]
    rows = [
        (text("versions.product"), str(version.get("name", "")) if several else ""),
        (text("versions.accuracy"), _accuracy(version, text)),
        (text("versions.f1"), text.percent(version["f1"])),
        *_precision_facts(version, text),
        *_unknown_facts(version.get("unknown_metrics"), text),
        (text("versions.size"), _size(version, text)),
        (text("versions.input"), f"{version['image_size']} px"),
        (text("versions.dataset"), str(version["dataset_sha256"])[:12]),
        (text("versions.created"), str(version["created"])[:16].replace("T", " ")),
    ]
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows if value)
    if run:
        cells += f"<div><dt>MLflow</dt><dd>{_link(str(run), mlflow)}</dd></div>"
    return f'<dl class="facts-grid">{cells}</dl>'


def _accuracy(version: Mapping[str, Any], text: Texts) -> str:
    """With its interval where the version was taught on an appliance, from few photos perhaps."""
    share, taught = text.percent(version["accuracy"]), version.get("taught")
    if not taught:
        return share
    low, high = map(text.percent, taught["interval"])
    return text("versions.interval", share=share, low=low, high=high)


def _precision_facts(version: Mapping[str, Any], text: Texts) -> list[tuple[str, str]]:
    """INT8 against FP32; of a taught version, which was never FP32, what it was taught from."""
    if taught := version.get("taught"):
        photos = text.number(sum(taught["photos"].values()))
        return [(text("versions.taught"), text("versions.taught_from", photos=photos))]
    lost = text("versions.points", points=text.number(100 * version["accuracy_loss"], 1))
    return [(text("versions.difference"), lost), (text("versions.agreement"), text.percent(version["agreement"]))]


def _unknown_facts(metrics: Mapping[str, Any] | None, text: Texts) -> list[tuple[str, str]]:
    """How well a version tells photos of its classes from others, if it can and that was measured."""
    found = metrics or {}
    rows = [("own_called_unknown", "own_photos"), ("other_answered_with_certainty", "other_photos")]
    return [
        (
            text(f"versions.{share}"),
            text("versions.share_of", share=text.percent(found[share]), photos=text.number(found[photos])),
        )
        for share, photos in rows
        if found.get(photos)
    ]


def _link(run: str, mlflow: str | None) -> str:
    name = escape(run[:12])
    if mlflow is None:
        return name
    return f'<a href="{escape(f"{mlflow}/#/runs/{quote(run)}")}" target="_blank" rel="noreferrer noopener">{name}</a>'
