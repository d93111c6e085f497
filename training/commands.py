"""Commands `inspect` (of a folder of photos), `track` (experiment tracking) and `feedback` (review of corrections)."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runtime.cli.say import say
from runtime.errors import Refusal, one_line
from runtime.serving.feedback.correction import Verdict
from runtime.serving.feedback.review import Corrected, corrections, review
from runtime.store import Store, open_store
from training import options
from training.feedback.accepted import applied, bring_accepted
from training.files import CHECKPOINT
from training.pipeline.versions import version_of
from training.product import PRODUCT_VARIABLE, product_name
from training.storage.locations import Places

if TYPE_CHECKING:
    from training.data.dataset import Dataset
    from training.data.survey import Survey

METRICS = "metrics.json"  # of the report
RESUME = "run `python -m training track` when it is back"

RAW = Path("var/data/raw")
INSPECTION = Path("var/report/inspection.html")
_FEATURES = Path("var/data/features")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=RAW)
@click.option("--out", type=click.Path(path_type=Path), default=INSPECTION, help="The page.")
@options.weights
@click.option("--measure-duplicates", is_flag=True, help="Say which copies of these very photos would be found.")
def inspect(folder: Path, out: Path, weights: str, measure_duplicates: bool) -> None:
    """Look at the photos in the class folders of FOLDER: a page that says what to do before training.

    Counts, sizes, near-duplicates, labels that look wrong, classes that are confused, and whether more photos would
    help. With --weights none, only what needs no pretrained network.
    """
    from training.data.survey import survey

    if not folder.is_dir():
        raise Refusal(f"{folder}: is not a folder; name the one that holds the class folders")
    if measure_duplicates:
        from training.inspection.duplicate_kinds import measure, table

        click.echo(table(measure(folder)))
        return
    found = survey(folder, deep=True)
    if not found.labels:
        raise Refusal(f"{folder}: no class folders; put the photos of each class in a folder of its own, at least two")
    report_on(found, weights=weights, out=out)
    click.echo("next: open it in a browser; make train SOURCE=" + shlex.quote(str(folder)))


def report_on(found: Survey, *, weights: str, out: Path) -> None:
    """Write the page of a surveyed folder, and say in short at the terminal what it advises."""
    from training.inspection.advice import advice_on
    from training.inspection.findings import findings_of
    from training.inspection.page import write_page

    findings = findings_of(found, weights=weights, cache=_FEATURES)
    write_page(findings, out)
    for one in findings.classes:
        right = "" if one.right is None else f", {one.right:.0%} named right"
        click.echo(f"{one.label}: {one.photos} photos, {one.different} different{right}")
    for number, advice in enumerate(advice_on(findings), start=1):
        click.echo(f"{number}. {advice.short}")
    click.echo(f"made {out}")


@click.command()
@click.option("--training", type=click.Path(path_type=Path), default=Path("var/training"), help="What `fit` made.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("var/report"), help="What `evaluate` made.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("var/data/processed"), help="Its dataset.")
@click.option(
    "--product",
    envvar=PRODUCT_VARIABLE,
    show_envvar=True,
    help="Name of the experiment; by the labels if not given.",
)
@click.option("--name", help="Name of the run; the version that `python -m export build` will give if not given.")
@click.option("--optional", is_flag=True, help="Where there is no tracking server, say how to do it later; no error.")
def track(training: Path, report: Path, data: Path, product: str | None, name: str | None, optional: bool) -> None:
    """Put a training into MLflow: where MLFLOW_TRACKING_URI says, else below var/mlflow.

    Figures, report, dataset manifest, checkpoint and source; a training that is there whole is left as it is.
    """
    from training.data.dataset import Dataset
    from training.tracking.server import TrackerAway

    checkpoint = training / CHECKPOINT
    if not checkpoint.is_file():
        raise Refusal(f"{checkpoint}: is not there; run `python -m training fit` first")
    if not (report / METRICS).is_file():
        raise Refusal(f"{report / METRICS}: is not there; run `python -m training evaluate` first")
    dataset = Dataset.open(data)
    named = name or version_of(checkpoint)
    try:
        url = _track(named, training, report, dataset, product)
    except TrackerAway as error:
        if not optional:
            raise
        say(f"not tracked: {error}")
    else:
        click.echo(f"made run {named} of MLflow\nnext: make mlflow, then {url}")


def _track(name: str, folder: Path, report: Path, dataset: Dataset, product: str | None) -> str:
    """Track, and remember the run beside the checkpoint; returns the run's page."""
    from training.tracking.local_run import remember
    from training.tracking.run_record import Training, log_training
    from training.tracking.server import Tracker

    experiment = product_name(dataset.labels, asked=product)
    tracker = Tracker(Places.from_environment().tracking, product=experiment, resume=RESUME)
    tracked = log_training(tracker, Training(name, name, folder, report, dataset), tags={})
    remember(folder / CHECKPOINT, tracked.run_id)
    return tracked.url


@click.group()
def feedback() -> None:
    """Photos that users corrected: look at them, and say which may be trained on."""


_DATA = click.option(
    "--data", envvar="DANDELION_DATA", show_envvar=True, help="Store of the photos; below var/store if not given."
)


_PRODUCT = click.option("--product", help="The name of a model: only what was corrected for it; all if not given.")


@feedback.command("list")
@_DATA
@_PRODUCT
@click.option("--all", "everything", is_flag=True, help="Those that were reviewed, too.")
def list_(data: str | None, product: str | None, everything: bool) -> None:
    """List the corrections that wait for a review."""
    found = [one for one in corrections(_store(data), product) if everything or one.reviewed is None]
    table = Table("name", "product", "label", "the model said", "received", "reviewed")
    for one in found:
        said = (one.product, one.label, one.predicted or "", one.received[:16])
        table.add_row(one.sha256[:12], *(escape(one_line(text)) for text in said), one.reviewed or "")
    Console().print(table)
    say(f"{len(found)} corrections; next: python -m training feedback page")


@feedback.command()
@_DATA
@_PRODUCT
@click.option("--out", type=click.Path(path_type=Path), default=Path("var/report/feedback.html"), help="The page.")
def page(data: str | None, product: str | None, out: Path) -> None:
    """Write a page of the photos that wait for a review, to choose from."""
    from training.feedback.review_page import write_review_page

    waiting = write_review_page(_store(data), out, product)
    click.echo(f"made {out}: {waiting} wait\nnext: open it in a browser")


@feedback.command()
@_DATA
@click.argument("names", nargs=-1, required=True)
def accept(data: str | None, names: tuple[str, ...]) -> None:
    """Let photos be trained on: NAME, NAME:LABEL or NAME:PRODUCT/LABEL, as `list` and `page` show them."""
    _say(data, names, "accepted")


@feedback.command()
@_DATA
@click.argument("names", nargs=-1, required=True)
def reject(data: str | None, names: tuple[str, ...]) -> None:
    """Keep photos out of any training: NAME, NAME:LABEL or NAME:PRODUCT/LABEL."""
    _say(data, names, "rejected")


@feedback.command()
@_DATA
@click.option("--product", envvar=PRODUCT_VARIABLE, show_envvar=True, help="Whose; by the labels if not given.")
@click.option("--raw", type=click.Path(path_type=Path), default=RAW, help="The fetched photos.")
def apply(data: str | None, product: str | None, raw: Path) -> None:
    """Lay the accepted corrections of the product beside the fetched photos, for the next `prepare`.

    The next `fetch` takes them away again: it leaves what the source has.
    """
    from training.data.fetched_files import record
    from training.data.prepare import class_folders

    count = bring_accepted(_store(data), raw, product_name(class_folders(raw), asked=product))
    record(raw, applied(raw))
    click.echo(f"accepted corrections in {raw}: {count}")


def _say(data: str | None, names: tuple[str, ...], verdict: Verdict) -> None:
    store = _store(data)
    reviewed: list[Corrected] = []
    for name in names:
        sha256, _, what = name.partition(":")
        product, _, label = what.rpartition("/")  # no label has a slash
        reviewed.append(review(store, sha256, verdict, label=label or None, product=product or None))
        click.echo(f"{verdict} {reviewed[-1].photo}")
    if verdict == "accepted":
        click.echo("next: make train; the retraining of `make airflow` takes them up, too")


def _store(data: str | None) -> Store:
    return open_store(data or Places.from_environment().data)
