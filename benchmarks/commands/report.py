"""Command `python -m benchmarks report`: one HTML page of all results."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import RESULTS, make


@click.command()
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the JSON files.")
@click.option("--sweep", type=click.Path(path_type=Path), default=Path("var/sweep/sweep.json"),
              help="What `python -m export sweep` made.")  # fmt: skip
@click.option("--price", type=click.FloatRange(min=0, min_open=True), default=0.04, help="Of one core for an hour.")
@click.option("--currency", default="USD")
@click.option("--out", type=click.Path(path_type=Path), help="The page; report.html beside the results if not given.")
def report(*, results: Path, sweep: Path, price: float, currency: str, out: Path | None) -> None:
    """Write one page of all results that are there, with plots; `make bench` measures them all first."""
    from benchmarks.reporting.report import write_report

    file = out or results / "report.html"
    make(file.parent)
    titles = write_report(results, sweep, file, price=price, currency=currency)
    for title in titles:
        click.echo(f"  {title}")
    click.echo(f"made {file}; open it in a browser")
