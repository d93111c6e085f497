"""Inspection page: all findings as one HTML file that stands alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import jinja2

import training.evaluation
from runtime.host.atomic import whole_file
from training.data.survey import Pair, Survey
from training.evaluation.plots.axes import as_svg
from training.evaluation.thumbnails import thumbnail
from training.inspection.advice import advice_on
from training.inspection.findings import FEW_DIFFERENT, LEAST_DIFFERENT, Findings
from training.inspection.plots import curve_plot, sides_plot

MOST_SUSPECTS = 36
MOST_PAIRS = 12  # under two classes, and again under one
MOST_LEFT_OUT = 200  # lines
MOST_CLASSES = 16  # in the matrix; of more, the pairs alone can be read
MOST_CONFUSED = 12
INPUT_SIDE = 224  # px, the default of training


class _Shown(NamedTuple):
    """A photo of the page."""

    path: str
    label: str
    picture: str | None
    looks_like: str = ""
    sure: float = 0.0


class _ShownPair(NamedTuple):
    one: _Shown
    other: _Shown
    how: str
    used: bool


class _Sizes(NamedTuple):
    smallest: str
    middle: str
    largest: str
    small: int
    megabytes: float


def write_page(findings: Findings, file: Path) -> Path:
    """Write the page of the findings to `file`."""
    survey, model = findings.survey, findings.model
    folders = [Path(__file__).parent, *(Path(room, "templates") for room in training.evaluation.__path__)]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folders), autoescape=True)
    inside = [pair for pair in survey.pairs if not pair.across]
    across = [pair for pair in survey.pairs if pair.across]
    html = environment.get_template("page.html.j2").render(
        folder=str(survey.folder),
        findings=findings,
        advice=advice_on(findings),
        most=max((one.photos for one in findings.classes), default=0),
        least_different=LEAST_DIFFERENT,
        few_different=FEW_DIFFERENT,
        sizes=_sizes(survey),
        input_side=INPUT_SIDE,
        sides=as_svg(sides_plot([min(photo.width, photo.height) for photo in survey.photos])) if survey.photos else "",
        left_out=survey.left_out[:MOST_LEFT_OUT],
        reasons=Counter(left.reason.split(";")[0].split(":")[0] for left in survey.left_out),
        across=[
            *(_pair(survey, pair, used=False) for pair in survey.contradictions[:MOST_PAIRS]),
            *(_pair(survey, pair, used=True) for pair in across[:MOST_PAIRS]),
        ],
        across_count=len(survey.contradictions) + len(across),
        inside=[_pair(survey, pair, used=True) for pair in inside[:MOST_PAIRS]],
        inside_count=len(inside),
        groups=_groups(survey),
        suspects=_suspects(findings),
        matrix=model.confusion.tolist() if model and len(model.labels) <= MOST_CLASSES else None,
        confused=model.confused[:MOST_CONFUSED] if model else [],
        curve=as_svg(curve_plot(model.curve)) if model and model.curve else "",
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as part:
        part.write_text(html, encoding="utf-8")
    return file


def _shown(survey: Survey, path: str, label: str) -> _Shown:
    try:
        data = (survey.folder / path).read_bytes()
    except OSError:  # gone since it was surveyed
        data = b""
    return _Shown(path, label, thumbnail(data))


def _pair(survey: Survey, pair: Pair, *, used: bool) -> _ShownPair:
    one, other = (_shown(survey, photo.path, photo.label) for photo in (pair.one, pair.other))
    return _ShownPair(one, other, pair.how, used)


def _suspects(findings: Findings) -> list[_Shown]:
    model, survey = findings.model, findings.survey
    if model is None:
        return []
    found = []
    for suspect in model.suspects[:MOST_SUSPECTS]:
        photo = survey.photos[model.rows[suspect.row]]
        shown = _shown(survey, photo.path, photo.label)
        found.append(shown._replace(looks_like=suspect.looks_like, sure=suspect.sure))
    return found


def _groups(survey: Survey) -> int:
    """How many groups of near-duplicates there are."""
    members: dict[int, int] = defaultdict(int)
    for group in survey.groups:
        members[group] += 1
    return sum(count > 1 for count in members.values())


def _sizes(survey: Survey) -> _Sizes | None:
    if not survey.photos:
        return None
    by_area = sorted(survey.photos, key=lambda photo: photo.width * photo.height)
    smallest, middle, largest = (
        f"{photo.width} x {photo.height}" for photo in (by_area[0], by_area[len(by_area) // 2], by_area[-1])
    )
    small = sum(min(photo.width, photo.height) < INPUT_SIDE for photo in survey.photos)
    return _Sizes(smallest, middle, largest, small, sum(photo.size_bytes for photo in survey.photos) / 1e6)
