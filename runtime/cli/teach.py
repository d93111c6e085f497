"""Command line of teaching: `python -m runtime teach FOLDER`, from photos in class folders to a model."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from runtime.cli.say import say
from runtime.errors import Refusal
from runtime.host.thread_priority import compute_in_own_threads

if TYPE_CHECKING:
    from runtime.bundle.manifest import Bundle
    from runtime.teaching.backbone import Backbone
    from runtime.teaching.from_files.collecting import Collected
    from runtime.teaching.from_files.labelled_files import LabelledFile
    from runtime.teaching.teach import Lesson


@click.command(context_settings={"show_default": True})
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from",
    "table",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV of `path,label` instead of class folders.",
)
@click.option("--name", help="What the model is called; as the folder if not given.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("var/taught"), help="For bundles."
)
@click.option("--serve", is_flag=True, help="Publish it, and have the appliance of this host serve it.")
@click.option("--models", envvar="DANDELION_MODELS", show_envvar=True, help="With --serve: the store of models.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path("var/cache"),
    envvar="DANDELION_CACHE",
    show_envvar=True,
    help="With --serve: the appliance's folder on this host.",
)
@click.option(
    "--data",
    envvar="DANDELION_DATA",
    show_envvar=True,
    help="With --serve: the store that keeps the photos for the training pipeline.",
)
@click.option("--public-key", envvar="DANDELION_PUBLIC_KEY", show_envvar=True, help="With --serve: as the appliance's.")
@click.option("--bundle", "only", envvar="DANDELION_BUNDLE", hidden=True)
def teach(
    folder: Path | None,
    table: Path | None,
    *,
    name: str | None,
    out: Path,
    serve: bool,
    models: str | None,
    cache: Path,
    data: str | None,
    public_key: str | None,
    only: str | None,
) -> None:
    """Teach a model of your own from the photos in FOLDER, in which each class has a folder.

    It takes seconds, needs no network and no GPU; what cannot be read is named and left out.

    \b
    python -m runtime teach ~/photos
    python -m runtime teach ~/photos --serve --name "garden gate"
    python -m runtime teach --from photos.csv
    """
    # OpenBLAS's threads would wait for each other by spinning: beside other work a lesson of 0.2 s takes seconds.
    compute_in_own_threads()
    from runtime.cli.teach_report import say_report
    from runtime.teaching.backbone import Backbone

    if serve and only:
        raise Refusal(
            "teach: DANDELION_BUNDLE names the one model that serves here; unset it, or teach without --serve and name "
            "what was taught there"
        )
    files, title = _files(folder, table), name or _title(folder, table)
    _check_enough(files)
    backbone = Backbone.open()
    collected = _collected(files, backbone)
    _say_left_out(collected)
    lesson = _learned(collected, backbone)
    bundle = _written(lesson, backbone, title, out)
    say_report(lesson.report, collected.files)
    click.echo(f"made {bundle.path}")
    if serve:
        _serve(bundle.path, models, cache, public_key)
        if data:
            _send_photos(collected, bundle.manifest.name, (folder or table or out).resolve(), data, cache)
        say("it serves at the appliance's next look, or now: python -m runtime")
    else:
        say(f"next: python -m runtime serve --bundle {quote(str(bundle.path))}, or teach with --serve")


def _files(folder: Path | None, table: Path | None) -> list[LabelledFile]:
    from runtime.teaching.from_files.labelled_files import in_folder, in_table

    if table is not None:
        return in_table(table, folder)
    if folder is None:
        raise Refusal("teach: takes a FOLDER with a folder of photos for each class, or --from a CSV of `path,label`")
    return in_folder(folder)


def _title(folder: Path | None, table: Path | None) -> str:
    if folder is not None and folder.resolve().name:
        return folder.resolve().name
    return table.stem if table else "taught"


def _check_enough(files: list[LabelledFile]) -> None:
    """Before any work is done: raises TooFew by the files alone."""
    from runtime.teaching.teach import check_counts

    counts: dict[str, int] = {}
    for file in files:
        counts[file.label] = counts.get(file.label, 0) + 1
    check_counts(list(counts), list(counts.values()))


def _collected(files: list[LabelledFile], backbone: Backbone) -> Collected:
    from runtime.cli.progress import progress
    from runtime.host.cpu import available_cpus
    from runtime.host.photo_limits import limits_of_host
    from runtime.teaching.from_files.collecting import collect

    extractor = backbone.extractor(threads=1)
    with progress("look at the photos", len(files)) as advance:
        return collect(files, extractor, limits_of_host(), threads=available_cpus(), advance=advance)


def _learned(collected: Collected, backbone: Backbone) -> Lesson:
    from runtime.cli.progress import progress
    from runtime.teaching.lessons import learn

    shown = 0
    with progress("learn", 100) as advance:

        def on_progress(stage: str, done: int, total: int) -> None:
            nonlocal shown
            if stage == "learning" and (step := 100 * done // max(1, total) - shown) > 0:
                shown += step
                advance(step)

        return learn(collected.examples, backbone, on_progress=on_progress)


def _written(lesson: Lesson, backbone: Backbone, title: str, out: Path) -> Bundle:
    from runtime.teaching.bundle import version_of, write_bundle
    from runtime.teaching.lessons import identity_of

    created = datetime.now(UTC)
    while (target := out / version_of(lesson, created)).exists():  # of the same head, made in the same second
        created += timedelta(seconds=1)
    return write_bundle(lesson, backbone, target, identity_of(title, None), created=created)


def _say_left_out(collected: Collected) -> None:
    for path, reason in collected.unreadable:
        click.echo(f"left out {path}: {reason}")
    for same in collected.contradictory:
        click.echo(f"left out {', '.join(map(str, same))}: the same photo under different labels")
    if collected.copies:
        click.echo(f"passed over {collected.copies} copies of photos that are there")


def _serve(folder: Path, models: str | None, cache: Path, public_key: str | None) -> None:
    """Publish the bundle as the API does; a running appliance of the same cache finds it at its next look."""
    from runtime.host.cores import inference_cores
    from runtime.host.cpu import available_cpus
    from runtime.serving.appliance import open_reloader
    from runtime.serving.monitoring.metrics import Metrics
    from runtime.serving.settings import Settings
    from runtime.serving.taught.publisher import Publisher

    settings = Settings(
        threads=inference_cores().threads,
        workers=available_cpus(),
        models=models,
        cache=cache,
        public_key=public_key,
    )
    offered = Publisher(open_reloader(settings, Metrics())).offer(folder, serve=False)
    say(f"{offered.version}: {offered.detail}")


def _send_photos(collected: Collected, product: str, origin: Path, data: str, cache: Path) -> None:
    """Send the photos to the data store; a running appliance of the same cache goes on with what fails now.

    They are one dataset with those that were taught from the same folder or table before.
    """
    from runtime.serving.appliance import TAUGHT_PHOTOS
    from runtime.serving.settings import Settings
    from runtime.serving.taught.photos import TaughtPhoto
    from runtime.serving.taught.uploads import TaughtPhotos
    from runtime.store import open_store

    sender = TaughtPhotos(open_store(data), cache / TAUGHT_PHOTOS, retry_s=Settings.poll_s)
    same = f"folder-{hashlib.sha256(os.fsencode(origin)).hexdigest()[:16]}-"
    known = sender.dataset_of(product) or ""
    examples = collected.examples
    sender.send_later(
        product,
        known if known.startswith(same) else same + secrets.token_hex(8),
        [
            TaughtPhoto(examples.labels[truth], sha256, collected.files[sha256])
            for sha256, truth in zip(examples.photos, examples.truth.tolist(), strict=True)
        ],
    )
    sender.send()
    say(sender.trouble_of(product) or f"its photos are in {data}, for the training pipeline")
