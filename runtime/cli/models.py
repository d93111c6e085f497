"""Command line of the model registry: `python -m runtime models …` and `store …`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory

import click

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, Bundle, BundleError, read_manifest
from runtime.cli.described import identity_of, quality_of
from runtime.cli.say import say
from runtime.errors import Refusal
from runtime.registry import archive
from runtime.registry.cache import Cache
from runtime.registry.catalogue import POINTER, Catalogue
from runtime.registry.publish import point_at, prune, publish, sign_version
from runtime.registry.signature import SIGNING_VARIABLE, new_keys, public_key, sign_folder, signing_key
from runtime.store import Missing, StoreError, open_store

_SOON = "from the next look of the appliance on, or its next start"
MODELS = "var/store/dandelion-models"  # where `make pipeline` publishes

_models = click.option(
    "--models",
    envvar="DANDELION_MODELS",
    show_envvar=True,
    default=MODELS,
    show_default=True,
    help="Folder or s3://bucket/prefix.",
)
_cache = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path("var/cache"),
    envvar="DANDELION_CACHE",
    show_envvar=True,
    show_default=True,
    help="The appliance's folder on this host.",
)
_key = click.option(
    "--public-key", envvar="DANDELION_PUBLIC_KEY", show_envvar=True, help="Refuse what is not signed by this key."
)
_signing_key = click.option(
    "--key", envvar=SIGNING_VARIABLE, show_envvar=True, help="Private key or its file; it signs what is pointed at."
)


@click.group()
def models() -> None:
    """Model registry: versions in the store and on this host."""


@models.command("list")
@_models
@_cache
def list_versions(models: str, cache: Path) -> None:
    """List the versions in the store and on this host."""
    from rich.console import Console
    from rich.table import Column, Table

    catalogue, here = Catalogue(open_store(models)), Cache(cache)
    state, cached = here.state, set(here.versions())
    latest, stored, away = None, list[str](), False
    try:
        latest, stored = catalogue.latest(), catalogue.versions()
    except StoreError as error:
        away = True
        click.echo(f"the store is unreachable: {error}", err=True)
    except BundleError as error:
        click.echo(str(error), err=True)
        stored = catalogue.versions()
    table = Table(Column("version", no_wrap=True), "px", "accuracy", "F1", "on this host", "")
    for version in sorted(cached | set(stored)):
        try:
            folder = here.folder_of(version)
            manifest = read_manifest(folder / MANIFEST) if version in cached else catalogue.manifest(version)[1]
        except (BundleError, StoreError) as error:
            away = away or not isinstance(error, BundleError | Missing)
            click.echo(str(error), err=True)
            continue
        notes = {
            "taught": manifest.taught is not None,
            "latest": latest is not None and latest.version == version,
            "pinned": state.pinned == version,
            "served last": state.last_good == version,
        }
        scores = manifest.metrics.int8
        table.add_row(
            version,
            str(manifest.input.height),
            f"{scores.accuracy:.4f}",
            f"{scores.f1:.4f}",
            "yes" if version in cached else "",
            ", ".join(note for note, holds in notes.items() if holds),
        )
    Console().print(table)
    if away:  # what is on this host alone is not what was asked for
        raise SystemExit(1)


@models.command()
@_models
@_cache
@_key
@click.argument("version", required=False)
def pull(models: str, cache: Path, public_key: str | None, version: str | None) -> None:
    """Download VERSION, or the latest, to this host and verify it; a running appliance finds it in the cache."""
    catalogue, here = Catalogue(open_store(models)), _opened(cache, public_key)
    digest = None
    if version is None:
        latest = catalogue.latest()
        if latest is None:
            raise Refusal(f"{models}: no model is published there; python -m runtime models publish BUNDLE does that")
        here.accept(latest, origin=f"{models}/{POINTER}")
        version, digest = latest.target
    bundle = here.pull(catalogue, version, manifest_sha256=digest)
    click.echo(f"verified {version} at {bundle.path}")
    say(f"next: python -m runtime models pin {version}, or just python -m runtime")


@models.command()
@_cache
@click.argument("version")
def pin(cache: Path, version: str) -> None:
    """Serve VERSION, whatever the store points at. It must be on this host: pull it first."""
    _pin(Cache(cache), version)


@models.command()
@_cache
def unpin(cache: Path) -> None:
    """Follow the store again."""
    Cache(cache).pin(None)
    click.echo(f"the store is followed again, {_SOON}")


@models.command()
@_cache
def rollback(cache: Path) -> None:
    """Serve the version that served before the last, and pin it."""
    here = Cache(cache)
    previous = here.state.previous
    if previous is None:
        raise Refusal(f"{cache}: no version served before the last; choose one with python -m runtime models pin")
    _pin(here, previous)


@models.command("publish")
@_models
@click.option(
    "--checkpoint",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `python -m training fit` made, to be kept beside it.",
)
@_signing_key
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
def publish_bundle(models: str, checkpoint: Path | None, key: str | None, bundle: Path) -> None:
    """Put BUNDLE into the store and point at it; appliances that follow the store serve it soon.

    BUNDLE is a folder, or a file that `models export` made.
    """
    store = open_store(models)
    signer = signing_key(key) if key else None
    with _folder_of(bundle) as folder:
        pointer = publish(folder, store, checkpoint=checkpoint, tag=Catalogue(store).tag(), key=signer)
    click.echo(f"published {pointer.version} to {models}{', signed' if key else ''}")


@models.command()
@_models
@_signing_key
@click.argument("version")
def promote(models: str, key: str | None, version: str) -> None:
    """Point the store at VERSION, which is in it already: for all appliances, forwards or back."""
    store = open_store(models)
    try:
        point_at(store, version, tag=Catalogue(store).tag(), key=signing_key(key) if key else None)
    except Missing as error:
        raise Refusal(f"{models}: has no version {version}; it has {', '.join(Catalogue(store).versions())}") from error
    click.echo(f"{models} points at {version}{', signed' if key else ''}")


@models.command("prune")
@_models
@click.option("--keep", type=click.IntRange(min=1), default=5, show_default=True, help="How many of the newest stay.")
@click.option("--in-use", multiple=True, help="A version that stays, too; may be repeated.")
def prune_versions(models: str, keep: int, in_use: tuple[str, ...]) -> None:
    """Remove old versions from the store, but for the newest, the latest and those in use."""
    removed = prune(open_store(models), keep=keep, in_use=frozenset(in_use))
    click.echo(f"removed {', '.join(removed) or 'nothing'}")


@models.command("export")
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export_bundle(bundle: Path, file: Path) -> None:
    """Write the folder BUNDLE as one FILE, to be carried to a host without a network."""
    archive.pack(Bundle.open(bundle), file)
    click.echo(
        f"made {file} ({file.stat().st_size / 1e6:.1f} MB)\nnext, there: python -m runtime models import {file.name}"
    )


@models.command("import")
@_cache
@_key
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_bundle(cache: Path, public_key: str | None, file: Path) -> None:
    """Verify the bundle in FILE, keep it on this host and pin it."""
    here = _opened(cache, public_key)
    with archive.unpacked(file, cache) as folder:
        version = here.add(folder).manifest.version
    here.pin(version)
    click.echo(f"verified and pinned {version}; it serves {_SOON}")


@models.command("keys")
def make_keys() -> None:
    """Make a pair of Ed25519 keys: sign with the private one, give the public one to every appliance."""
    private, public = new_keys()
    click.echo(f"private  {private}\npublic   {public}")
    click.echo("keep the private key to yourself; set DANDELION_PUBLIC_KEY to the public one on every appliance")


@models.command("sign")
@_models
@click.option("--key", envvar=SIGNING_VARIABLE, show_envvar=True, required=True, help="Private key or its file.")
@click.argument("bundle")
def sign_bundle(models: str, key: str, bundle: str) -> None:
    """Sign BUNDLE, which is verified first: a folder, or a version in the store, such as one that was taught."""
    signer = signing_key(key)
    if Path(bundle).is_dir():
        Bundle.open(Path(bundle))
        file = sign_folder(Path(bundle), signer)
        say(f"made {file}\nnext: python -m runtime models publish {quote(bundle)}")
        return
    try:
        manifest = sign_version(open_store(models), bundle, signer)
    except Missing as error:
        raise Refusal(f"{bundle}: is neither a folder nor a version in {models}; see `models list`") from error
    click.echo(f"signed {identity_of(manifest)}\n{quality_of(manifest)}")
    say(f"next: python -m runtime models promote {manifest.version}")


@click.group()
def store() -> None:
    """Object storage for models and photos."""


@store.command()
@click.option("--models", envvar="DANDELION_MODELS", show_envvar=True, default=MODELS, show_default=True)
@click.option(
    "--data", envvar="DANDELION_DATA", show_envvar=True, default="var/store/dandelion-data", show_default=True
)
@click.argument("others", nargs=-1, metavar="[URI]...")
def init(models: str, data: str, others: tuple[str, ...]) -> None:
    """Create the buckets or folders for models and photos, and those of each URI, if they do not exist yet.

    Each is asked whether it keeps two writers apart, by a key of its own that is removed again.
    """
    from runtime.store.conditions import trouble_with_conditions

    for uri in (models, data, *others):
        opened = open_store(uri)
        click.echo(f"{'made' if opened.create() else 'found'} {uri}")
        if trouble := trouble_with_conditions(opened):
            click.echo(trouble, err=True)


@store.command("probe")
@click.argument("uri")
def probe_server(uri: str) -> None:
    """Print what the server of URI, s3://bucket/prefix, can do, as a row of the table in docs/stores.md."""
    from runtime.store.probe import probe

    for name, found in probe(uri).items():
        click.echo(f"{name}: {found}")


@store.command("ls")
@click.argument("uri")
@click.argument("prefix", default="")
def list_objects(uri: str, prefix: str) -> None:
    """List what is in a store, below PREFIX."""
    for entry in open_store(uri).list(prefix):
        click.echo(f"{entry.size_bytes:>12,}  {entry.key}")


def _pin(here: Cache, version: str) -> None:
    if version != default_bundle().name:  # which needs no cache
        here.open(version)
    here.pin(version)
    click.echo(f"pinned {version}; it serves {_SOON}")


@contextmanager
def _folder_of(bundle: Path) -> Iterator[Path]:
    """The folder of a bundle that is one, or that is packed in a file."""
    if bundle.is_dir():
        yield bundle
    else:
        with TemporaryDirectory() as temporary, archive.unpacked(bundle, Path(temporary)) as folder:
            yield folder


def _opened(cache: Path, key: str | None) -> Cache:
    here = Cache(cache, public_key(key) if key else None)
    here.remove_abandoned()
    return here
