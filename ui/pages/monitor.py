"""The Monitor page: a live dashboard of the appliance, redrawn after each scrape of its metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from nicegui import ui

from runtime.inference.kernel_labels import label_of
from runtime.names import UNKNOWN
from ui.appliance.history import SCRAPE_INTERVAL_S, ScrapeHistory
from ui.appliance.scrape import STAGES, Scrape, cpu, percentile, rate
from ui.view import charts
from ui.view.elements import GONE_WORDS, Markup, Tag, escape
from ui.view.language import Texts
from ui.view.page_context import PageContext

WINDOW_S = 60.0  # what "now" means for rates and percentiles
SPANS = (30, 60, 150)  # samples on a chart: one, two and five minutes, the shortest that holds what is known
SHOWN = SPANS[-1]
DRIFT_SOME, DRIFT_MUCH = 0.1, 0.25
DEVIATION = "dandelion_golden_deviation"
PREDICTIONS = "dandelion_predictions_total"
MEASUREMENTS = ("traffic", "measurement")


T = TypeVar("T")


class _Panel(NamedTuple):
    block: Markup
    draw: Callable[[ScrapeHistory, Texts], str]


def monitor(context: PageContext) -> None:
    """Build the page."""
    text = context.text
    with Tag("div", class_="page-head"):
        Tag("h1", text("monitor.title"))
        Tag("p", text("monitor.lead"), class_="lead")
    status = Markup(class_="status-line")
    news = Tag("p", class_="unseen", role="status")
    panels: list[_Panel] = []
    with Tag("div", class_="panels"):
        for name, draw_panel in PANELS.items():
            with Tag("section", class_=f"panel panel-{name}", aria_label=text(f"monitor.{name}")):
                Tag("h2", text(f"monitor.{name}"))
                panels.append(_Panel(Markup(), draw_panel))
                Tag("p", text(f"monitor.{name}_help"), class_="help")
    drawn: list[object] = [None]

    def draw() -> None:
        history = context.history
        history.keep_scraping()
        if drawn[0] == (id(history), history.sequence):
            return
        drawn[0] = (id(history), history.sequence)
        headline, kind = _status(history, text)
        status.put(f'<i class="dot {kind}"></i><strong>{escape(headline)}</strong>{GONE_WORDS}{_reasons(history)}')
        news.set_text(headline)
        for panel in panels:
            panel.block.put(panel.draw(history, text))

    ui.timer(SCRAPE_INTERVAL_S / 2, draw)


def _status(history: ScrapeHistory, text: Texts) -> tuple[str, str]:
    presence = history.presence
    if presence.away_since:
        return text("monitor.away_since", since=text.clock(presence.away_since)), "away"
    if history.latest is None:
        return text("monitor.asking"), "blank"
    if presence.back_since and time.time() - presence.back_since < WINDOW_S:
        return text("monitor.back", since=text.clock(presence.back_since)), "up"
    if history.health.get("reasons"):
        return text("monitor.degraded"), "degraded"
    return text("monitor.up", uptime=text.duration(float(history.health.get("uptime_s", 0)))), "up"


def _reasons(history: ScrapeHistory) -> str:
    if history.presence.away_since:
        return ""
    return "".join(f'<span class="reason">{escape(str(reason))}</span>' for reason in history.health.get("reasons", []))


def _availability(history: ScrapeHistory, text: Texts) -> str:
    samples = list(history.samples)[-SHOWN:]
    ups = _padded([sample.scrape is not None for sample in samples])
    share = sum(sample.scrape is not None for sample in samples) / max(1, len(samples))
    words = text("monitor.availability_words", share=text.percent(share, 0), scrapes=len(samples))
    return charts.strip(ups, words, _times(ups, text)) + f'<p class="small">{escape(words)}</p>'


def _serving(history: ScrapeHistory, text: Texts) -> str:
    newest = history.latest
    if newest is None:
        return _nothing(text)
    info = newest.info("dandelion_model_info")
    rows = [
        (text("monitor.model"), info.get("name", "")),
        (text("monitor.version"), info.get("version", "")),
        (text("monitor.precision"), info.get("precision", "").upper()),
        (text("monitor.kernel"), label_of(info.get("kernel", ""))),
    ]
    if DEVIATION in newest.samples:
        rows.append((text("monitor.deviation"), text.number(newest.value(DEVIATION), 4)))
    return _facts(rows)


def _requests(history: ScrapeHistory, text: Texts) -> str:
    scrapes = [sample.scrape for sample in history.samples][-SHOWN:]
    rates: list[float | None] = []
    for before, now in pairwise(scrapes):
        same = before is not None and now is not None and before.began == now.began
        rates.append(rate(now, before) if same and now and before else None)
    then, newest = history.before(WINDOW_S), history.latest
    if newest is None or then is None:
        return _nothing(text)
    figure = text.number(rate(newest, then), 1) if newest is not then else "0"
    waiting = text(
        "monitor.in_flight",
        flying=text.number(max(0.0, newest.value("dandelion_in_flight") - 1)),  # the look itself is one
        waiting=text.number(newest.value("dandelion_queue_depth")),
    )
    shown = _padded(rates)
    chart = charts.line(
        shown,
        text("monitor.requests_chart"),
        number=lambda value: text.number(value, _digits(value)),
        times=_times(shown, text),
        least_top=1.0,
    )
    return f'{_figure(figure, text("monitor.per_second"))}{chart}<p class="small">{escape(waiting)}</p>'


def _latency(history: ScrapeHistory, text: Texts) -> str:
    now, then = history.latest, history.before(WINDOW_S)
    if now is None or then is None:
        return _nothing(text)
    name = "dandelion_stage_seconds"
    idle = percentile(0.5, now.buckets(name, stage="total"), then.buckets(name, stage="total")) is None
    rows = []
    for stage in STAGES:
        before: Mapping[float, float] = {} if idle else then.buckets(name, stage=stage)
        found = [percentile(q, now.buckets(name, stage=stage), before) for q in (0.5, 0.95, 0.99)]
        cells = "".join(f"<td>{_ms(value, text)}</td>" for value in found)
        total = ' class="total"' if stage == "total" else ""
        rows.append(f'<tr{total}><th scope="row">{escape(text(f"stage.{stage}"))}</th>{cells}</tr>')
    head = "".join(
        f'<th scope="col">{escape(text(f"monitor.{name}"))}<small>{name}</small></th>' for name in ("p50", "p95", "p99")
    )
    span = text("monitor.since_start") if idle else text("monitor.last_minute")
    return (
        f'<table class="figures"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f'<p class="small">{escape(span)}</p>'
    )


def _rejections(history: ScrapeHistory, text: Texts) -> str:
    newest = history.latest
    if newest is None:
        return _nothing(text)
    found = {reason: count for reason, count in newest.by("dandelion_rejections_total", "reason").items() if count}
    total = sum(found.values())
    figure = _figure(text.number(total), text("monitor.rejected"))
    rows = [
        charts.Bar(_word(text, "reason", reason), count, text.number(count)) for reason, count in sorted(found.items())
    ]
    return figure + (charts.bars(rows) if rows else f'<p class="small">{escape(text("monitor.none_rejected"))}</p>')


def _mix(history: ScrapeHistory, text: Texts) -> str:
    newest = history.latest
    if newest is None:
        return _nothing(text)
    counts = newest.by(PREDICTIONS, "label", without=MEASUREMENTS)
    total = sum(counts.values())
    if not total:
        return f'<p class="small">{escape(text("monitor.no_photos"))}</p>'
    rows = [
        charts.Bar(text.label(label), count / total, text.percent(count / total, 0), is_none=label == UNKNOWN)
        for label, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    uncertain = newest.by(PREDICTIONS, "uncertain", without=MEASUREMENTS).get("true", 0.0)
    figures = {"photos": text.number(total), "uncertain": text.number(uncertain)}
    if UNKNOWN in counts:
        words = text("monitor.mix_words_unknown", **figures, unknown=text.number(counts[UNKNOWN]))
    else:
        words = text("monitor.mix_words", **figures)
    return charts.bars(rows, highest=1.0) + f'<p class="small">{escape(words)}</p>'


def _confidence(history: ScrapeHistory, text: Texts) -> str:
    newest = history.latest
    count = newest.value("dandelion_confidence_count") if newest else 0
    unknown = newest.by(PREDICTIONS, "label", without=MEASUREMENTS).get(UNKNOWN, 0.0) if newest else 0
    if newest is None or not count:
        return f'<p class="small">{escape(text("monitor.all_unknown" if unknown else "monitor.no_photos"))}</p>'
    mean = newest.value("dandelion_confidence_sum") / count
    rows, below = [], 0.0
    for bound, cumulative in sorted(newest.buckets("dandelion_confidence").items()):
        if not math.isinf(bound):
            rows.append(
                charts.Bar(
                    text("monitor.up_to", share=text.percent(bound, 0)),
                    (cumulative - below) / count,
                    text.percent((cumulative - below) / count, 0),
                )
            )
            below = cumulative
    left_out = text("monitor.without_unknown", unknown=text.number(unknown)) if unknown else ""
    return (
        _figure(text.percent(mean), text("monitor.mean_confidence"))
        + charts.bars(rows, highest=1.0, class_="tight")
        + (f'<p class="small">{escape(left_out)}</p>' if left_out else "")
    )


def _drift(history: ScrapeHistory, text: Texts) -> str:
    newest = history.latest
    found = newest.by("dandelion_drift", "signal") if newest else {}
    known = {signal: value for signal, value in found.items() if not math.isnan(value)}
    if not known:
        return f'<p class="small">{escape(text("monitor.drift_unknown"))}</p>'
    worst = max(known.values())
    verdict = "much" if worst > DRIFT_MUCH else "some" if worst > DRIFT_SOME else "none"
    rows = [
        charts.Bar(_word(text, "signal", signal), value, text.number(value, 2))
        for signal, value in sorted(known.items())
    ]
    return f'<p class="verdict-words {verdict}">{escape(text(f"monitor.drift_{verdict}"))}</p>' + charts.bars(
        rows, highest=max(2 * DRIFT_MUCH, worst)
    )


def _machine(history: ScrapeHistory, text: Texts) -> str:
    now, then = history.latest, history.before(WINDOW_S)
    if now is None or then is None:
        return _nothing(text)
    memory = now.value("process_resident_memory_bytes") / 2**20
    cores = cpu(now, then) if now is not then else 0.0
    memories = [_memory(sample.scrape) for sample in history.samples][-SHOWN:]
    shown = _padded(memories)
    chart = charts.line(
        shown,
        text("monitor.memory_chart"),
        number=lambda value: f"{text.number(value)} MiB",
        times=_times(shown, text),
    )
    figures = _figure(f"{text.number(memory)} MiB", text("monitor.memory")) + _figure(
        text.number(cores, 2), text("monitor.cores")
    )
    return f'<div class="pair">{figures}</div>{chart}'


PANELS: Mapping[str, Callable[[ScrapeHistory, Texts], str]] = {
    "availability": _availability,
    "serving": _serving,
    "requests": _requests,
    "latency": _latency,
    "mix": _mix,
    "confidence": _confidence,
    "drift": _drift,
    "machine": _machine,
    "rejections": _rejections,
}


def _padded(values: Sequence[T | None]) -> list[T | None]:
    """The newest on the right; the shortest of SPANS that holds them, of which nothing is known on the left."""
    span = next((span for span in SPANS if len(values) <= span), SHOWN)
    return [*[None] * (span - len(values)), *values]


def _times(values: Sequence[object], text: Texts) -> charts.Axis:
    """The axis of time under so many samples."""
    seconds = SCRAPE_INTERVAL_S * len(values)
    first, middle = (text("monitor.ago", span=text.duration(span)) for span in (seconds, seconds / 2))
    return charts.Axis(first, middle, text("monitor.now"))


def _digits(value: float) -> int:
    """So many decimals that the half of a small round number is told from nothing."""
    return 0 if value == int(value) else 1 if round(value, 1) == value else 2


def _memory(scrape: Scrape | None) -> float | None:
    return scrape.value("process_resident_memory_bytes") / 2**20 if scrape else None


def _ms(seconds: float | None, text: Texts) -> str:
    if seconds is None:
        return "\N{EN DASH}"
    milliseconds = 1000 * seconds
    return f"{text.number(milliseconds, 1 if milliseconds < 10 else 0)} ms"


def _word(text: Texts, kind: str, name: str) -> str:
    try:
        return text(f"{kind}.{name}")
    except KeyError:
        return name


def _figure(value: str, words: str) -> str:
    return f'<p class="figure"><strong>{escape(value)}</strong><span>{escape(words)}</span></p>'


def _facts(rows: list[tuple[str, str]]) -> str:
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    return f'<dl class="facts-grid">{facts}</dl>'


def _nothing(text: Texts) -> str:
    return f'<p class="small">{escape(text("monitor.nothing"))}</p>'
