"""The Benchmark page: latency and throughput of the chosen appliance, with progress, charts and downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec
from nicegui import ui

from ui.appliance.client import Refused, Unreachable
from ui.appliance.latency_test import Progress, Report, measure
from ui.view import charts
from ui.view.elements import Markup, Tag, escape
from ui.view.language import Texts
from ui.view.page_context import PageContext

_MEASURED = ("decode_ms", "infer_ms", "total_ms", "round_trip_ms", "round_trip_p95_ms")
_RUNNING = asyncio.Lock()  # two benchmarks at once would disturb each other


class _Benchmark:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        text = context.text
        with Tag("div", class_="page-head"):
            Tag("h1", text("benchmark.title"))
            Tag("p", text("benchmark.lead"), class_="lead")
        with Tag("div", class_="row"):
            self._start = Tag("button", text("benchmark.start"), class_="button primary", type="button")
            self._start.on("click", self._run)
        self._said = Tag("p", class_="note", role="status", hidden=True)
        self._progress = Markup()
        self._result = Tag("div", class_="benchmark")
        if last := context.targets.reports.get(context.session.target):
            self._enable(on=True)
            self._draw(last)

    async def _run(self) -> None:
        text = self._context.text
        if _RUNNING.locked():
            self._say(text("benchmark.turn"), bad=True)
            return
        async with _RUNNING:
            self._enable(on=False)
            self._say("", bad=False)
            self._result.clear()
            try:
                await self._measure()
            except* Unreachable:
                self._say(text("benchmark.away"), bad=True)
            except* Refused as errors:
                self._say(text("benchmark.refused", detail=str(errors.exceptions[0])), bad=True)
            finally:
                self._progress.put("")
                self._enable(on=True)

    async def _measure(self) -> None:
        context = self._context
        target = context.session.target
        async for step in measure(await context.api(), context.targets.folder(target)):
            if isinstance(step, Report):
                context.targets.reports[target] = step
            if self._start.is_deleted:
                return  # the visitor has left
            if isinstance(step, Progress):
                self._progress.put(_bar(step, context.text))
            else:
                self._draw(step)

    def _draw(self, report: Report) -> None:
        text = self._context.text
        with self._result:
            Markup(class_="verdict-panel").put(_verdict(report, text))
            with Tag("div", class_="panels"):
                for name, draw in PANELS.items():
                    with Tag("section", class_=f"panel panel-{name}", aria_label=text(f"benchmark.{name}")):
                        Tag("h2", text(f"benchmark.{name}"))
                        Markup().put(draw(report, text))
            with Tag("div", class_="row"):
                for kind in ("json", "csv"):
                    button = Tag("button", text(f"benchmark.download_{kind}"), class_="button", type="button")
                    button.on("click", lambda _, kind=kind: _download(report, kind, self._context.product.file_name))
            Tag("p", text("benchmark.note"), class_="small")

    def _say(self, words: str, *, bad: bool) -> None:
        self._said.classes(add="warn" if bad else "", remove="" if bad else "warn")
        self._said.set_text(words)
        self._said.show(bool(words))

    def _enable(self, *, on: bool) -> None:
        self._start.props["disabled"] = not on
        self._start.set_text(self._context.text("benchmark.again" if on else "benchmark.running"))


def benchmark(context: PageContext) -> None:
    """Build the page."""
    _Benchmark(context)


def _bar(step: Progress, text: Texts) -> str:
    words = text(f"benchmark.step_{step.what}", at_once=step.at_once)
    share = round(100 * step.share)
    return (
        f'<div class="progress" role="progressbar" aria-label="{escape(words)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share}"><i style="width:{share}%"></i></div><p class="small">{escape(words)}</p>'
    )


def _verdict(report: Report, text: Texts) -> str:
    phone = next(stage for stage in report.stages if stage.photo == "phone")
    words = text(
        "benchmark.verdict",
        rate=text.number(report.fastest.photos_per_s, 0 if report.fastest.photos_per_s >= 10 else 1),
        phone=text.number(phone.total_ms, 0 if phone.total_ms >= 10 else 1),
    )
    detail = text("benchmark.verdict_detail", at_once=report.fastest.at_once, version=report.version)
    last = text("benchmark.last", when=report.at[:16].replace("T", " "))
    return f'<p class="verdict-big">{escape(words)}</p><p class="small">{escape(detail)} {escape(last)}</p>'


def _throughput(report: Report, text: Texts) -> str:
    rows = [
        (text("benchmark.clients", count=step.at_once), step.photos_per_s, text.number(step.photos_per_s, 0))
        for step in report.throughput
    ]
    chart = charts.columns(rows, text("benchmark.throughput_chart"))
    refused = sum(step.refused for step in report.throughput)
    words = text("benchmark.some_refused", count=refused) if refused else text("benchmark.none_refused")
    medians = " · ".join(f"{step.at_once}: {text.number(step.median_ms, 1)} ms" for step in report.throughput)
    return f'{chart}<p class="small">{escape(text("benchmark.medians", medians=medians))} {escape(words)}</p>'


def _latency(report: Report, text: Texts) -> str:
    head = "".join(f'<th scope="col">{escape(text(f"benchmark.{column}"))}</th>' for column in _MEASURED)
    rows = "".join(
        f'<tr><th scope="row">{escape(text(f"benchmark.photo_{stages.photo}"))}</th>'
        + "".join(f"<td>{text.number(getattr(stages, column), 1)} ms</td>" for column in _MEASURED)
        + "</tr>"
        for stages in report.stages
    )
    table = f'<table class="figures"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _threads(report: Report, text: Texts) -> str:
    if not report.threads:
        return f'<p class="small">{escape(text("benchmark.threads_remote"))}</p>'
    rows = [
        charts.Bar(
            text("benchmark.thread" if each.threads == 1 else "benchmark.thread_count", count=each.threads),
            each.infer_ms,
            f"{text.number(each.infer_ms, 1)} ms",
        )
        for each in report.threads
    ]
    return f'{charts.bars(rows)}<p class="small">{escape(text("benchmark.threads_words"))}</p>'


PANELS: Mapping[str, Callable[[Report, Texts], str]] = {
    "throughput": _throughput,
    "latency": _latency,
    "threads": _threads,
}


def _download(report: Report, kind: str, name: str) -> None:
    if kind == "json":
        data = msgspec.json.format(msgspec.json.encode(report), indent=2)
        ui.download.content(data, f"{name}-benchmark.json", "application/json")
        return
    lines = ["measure,photo,at_once,value,unit"]
    for stages in report.stages:
        lines += [f"{name.removesuffix('_ms')},{stages.photo},1,{getattr(stages, name)},ms" for name in _MEASURED]
    lines += [f"infer_{each.threads}_threads,,1,{each.infer_ms},ms" for each in report.threads]
    for step in report.throughput:
        lines.append(f"throughput,small,{step.at_once},{step.photos_per_s},photos/s")
        lines.append(f"median,small,{step.at_once},{step.median_ms},ms")
        lines.append(f"refused,small,{step.at_once},{step.refused},photos")
    ui.download.content("\n".join(lines) + "\n", f"{name}-benchmark.csv", "text/csv")
