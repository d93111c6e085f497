"""Command `python -m benchmarks peers`: side by side with other servers."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.commands.options import RESULTS, default_folder, keep, make, out_option, photos_option, show

NAMES = ("replaced", "fastapi-onnxruntime", "fastapi-openvino", "litserve", "bentoml", "mlserver")
CLIENTS = (1, 4, 16, 64)


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Whose INT8 file all serve; ours by default.")
@click.option(
    "--size",
    type=click.IntRange(32, 512),
    help="Instead of --bundle: the default network at this input size, px; 224 is even with the replaced stack.",
)
@photos_option
@click.option("--peer", "names", type=click.Choice(NAMES), multiple=True, help="Only these; all if not given.")
@click.option("--clients", type=click.IntRange(1, 1024), multiple=True, default=CLIENTS, help="Of a closed loop.")
@click.option("--rounds", type=click.IntRange(min=1), default=6, help="Each starts, loads and stops every server once.")
@click.option("--seconds", type=click.FloatRange(0.2, 600), default=3.0, help="Length of each burst.")
@click.option(
    "--environments", type=click.Path(path_type=Path), default=Path("var/peers"), help="Kept from run to run."
)
@click.option("--installed-only", is_flag=True, help="Measure the peers that are installed there, install none.")
@out_option
def peers(
    *,
    bundle: Path | None,
    size: int | None,
    photos: Path | None,
    names: tuple[str, ...],
    clients: tuple[int, ...],
    rounds: int,
    seconds: float,
    environments: Path,
    installed_only: bool,
    out: Path,
) -> None:
    """Compare with other servers on the same photos: the replaced stack, FastAPI, LitServe, BentoML, MLServer.

    All but the replaced stack serve the same INT8 file. Each is written as its documentation recommends, runs in an
    environment of its own (made with uv on the first run), in every sensible split of the cores, and its best one
    counts in each figure. Ours also serves the default bundle. Half an hour on two cores.
    """
    from benchmarks.contenders.photos import load_photos
    from benchmarks.contenders.scaled_bundle import stand_in
    from benchmarks.host.interference import describe_contention
    from benchmarks.host.machine import describe
    from benchmarks.peers.catalogue import PEERS
    from benchmarks.peers.measure import measure_peers
    from benchmarks.peers.table import peers_table, reasons
    from benchmarks.peers.verdicts import peer_goals
    from benchmarks.reporting.plots import peers_plot
    from benchmarks.statistics.goals import goals_table
    from runtime.bundle.manifest import Bundle

    if bundle and size:
        raise click.BadParameter("give --bundle or --size, not both", param_hint="--size")
    default = Bundle.open(default_folder())
    first = Bundle.open(bundle) if bundle else default
    if size:
        first = Bundle.open(stand_in(default, size, RESULTS / "bundles"))
    encoded, source = load_photos(photos)
    make(out)
    result = measure_peers(
        [first] if first == default else [first, default],
        [peer for peer in PEERS if not names or peer.name in names],
        encoded,
        source,
        clients=sorted(set(clients)),
        rounds=rounds,
        seconds=seconds,
        environments=environments,
        install=not installed_only,
    )
    keep(result, out / "peers.json")
    peers_plot(result, out / "peers.png")
    show(peers_table(result), goals_table("Figures to reach", peer_goals(result), result.neighbours))
    for reason in reasons(result):
        click.echo(reason)
    click.echo(f"{describe(result.machine)}; {describe_contention(result.neighbours)}")
    click.echo(f"made {out / 'peers.json'} and {out / 'peers.png'}")
