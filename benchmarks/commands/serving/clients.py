"""Command `python -m benchmarks clients`: real HTTP clients and reverse proxies against the appliance."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmarks.commands.options import bundle_option, default_folder, keep, make, out_option

INSTALLED = Path("var/clients")


@click.command()
@bundle_option
@click.option(
    "--client", "only", multiple=True, help="Name of a client or proxy; as often as wanted, all if not given."
)
@out_option
def clients(bundle: Path | None, only: tuple[str, ...], out: Path) -> None:
    """Send photos with the HTTP clients and through the reverse proxies that are installed here.

    Python's and Node's are installed into var/clients first. Prints the table of docs/clients.md; the exit code is 1
    where one that ran saw a wrong answer.
    """
    from benchmarks.clients.catalogue import CLIENTS, REVERSE_PROXIES
    from benchmarks.host.machine import describe
    from benchmarks.measurements.serving.clients import markdown_table, run_clients
    from runtime.bundle.manifest import Bundle
    from runtime.errors import Refusal

    known = [*(client.name for client in CLIENTS), *(proxy.name for proxy in REVERSE_PROXIES)]
    strangers = [name for name in only if name not in known]
    if strangers:
        raise Refusal(f"--client {strangers[0]}: is not known; choose from {', '.join(known)}")
    make(out)
    result = run_clients(Bundle.open(bundle or default_folder()), INSTALLED, only)
    keep(result, out / "clients.json")
    click.echo(markdown_table(result))
    click.echo(describe(result.machine))
    click.echo(f"made {out / 'clients.json'}")
    if any(row.failed for row in result.rows):
        sys.exit(1)
