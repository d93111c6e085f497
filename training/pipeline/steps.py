"""Pipeline tasks of the training half: idempotent, JSON in and out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.errors import Refusal
from runtime.names import UNKNOWN, label_among
from runtime.registry.catalogue import Catalogue
from runtime.store.data_trees import TAUGHT
from runtime.store.trees import read_index
from training.files import CHECKPOINT, HISTORY
from training.pipeline.runs import Run
from training.pipeline.serving import serving
from training.pipeline.taught import PROCESSED, RAW, bring_stored, taught_source
from training.pipeline.versions import run_version
from training.product import checked_product, product_name
from training.recipe import AUTO, NO_OTHER, ImageSize, Recipe, epochs_for
from training.storage.locations import Places
from training.storage.sync import download_tree, upload_tree

TRAINING, REPORT = "training", "report"

RESUME = "everything of the run is kept; run the task `track` again when the server is back"

Result = dict[str, Any]


class StaleRun(Refusal):
    """A run whose data has been replaced since it began."""


def prepare_places(places: Places) -> Result:
    """Make the buckets or folders that are not there yet."""
    made = {
        uri: store.create() for uri, store in ((places.data, places.data_store), (places.models, places.models_store))
    }
    return {"made": [uri for uri, new in made.items() if new], "there": [uri for uri, new in made.items() if not new]}


def fetch(
    places: Places,
    run: str,
    *,
    source: str | None,
    listing: str | None,
    workers: int,
    other: str = NO_OTHER,
    product: str | None = None,
) -> Result:
    """Bring the photos of `source` and of other things to this machine, or go on with it.

    Without a source they are those that `product` was taught from on an appliance, else the public ones.
    """
    from training.data.fetch import fetch as fetch_photos

    taught = None if source or listing else taught_source(places, run, product)
    done = fetch_photos(
        _fetched(places, run),
        source=str(taught) if taught else source,
        recorded=Path(listing) if listing else None,
        other=None if other == NO_OTHER else other,
        workers=workers,
    )
    if done.without_other:
        print(f"without photos of other things: {done.without_other}")
    return {"photos": done.photos, "other": done.other, "resumed": done.resumed, "origin": TAUGHT if taught else None}


def product_of(places: Places, labels: Iterable[str] | None = None, *, asked: str | None) -> str:
    """The product that photos of these labels are for: as asked, else the one that serves them, else a default.

    Without labels it is the one that serves.
    """
    if asked:
        return checked_product(asked)
    now = serving(places.models_store).manifest
    return product_name(now.labels if labels is None else labels, serving=now)


def store_raw(
    places: Places,
    run: str,
    *,
    source: str | None,
    listing: str | None,
    workers: int,
    other: str = NO_OTHER,
    product: str | None = None,
) -> Result:
    """Keep the fetched photos in the data store; what is not on this machine is fetched again."""
    from training.data.fetched_files import read_manifest

    fetched = fetch(places, run, source=source, listing=listing, workers=workers, other=other, product=product)
    folder = _fetched(places, run)
    paths = [photo.path for photo in read_manifest(folder).photos]
    uploaded = upload_tree(folder, places.data_store, places.tree(RAW), paths, origin=fetched["origin"])
    photos = sum(fetched["photos"].values())
    return {"prefix": places.tree(RAW), "photos": photos, "other": fetched["other"], "uploaded": uploaded}


def prepare(places: Places, run: str, *, labels: list[str] | None, validation: float, seed: int) -> Result:
    """Verify, clean and split the stored photos together with the accepted corrections of the product."""
    store = places.data_store
    raw = Run(places, run).folder / RAW
    download_tree(store, places.tree(RAW), raw)
    return _prepare(places, run, labels=labels, validation=validation, seed=seed)


def store_processed(places: Places, run: str, *, labels: list[str] | None, validation: float, seed: int) -> Result:
    """Keep the prepared dataset in the data store; where this machine has not prepared it, it does so now."""
    prepared = prepare(places, run, labels=labels, validation=validation, seed=seed)
    store, raw = places.data_store, read_index(places.data_store, places.tree(RAW))
    origin = raw.origin if raw else None
    uploaded = upload_tree(Run(places, run).folder / PROCESSED, store, places.tree(PROCESSED), origin=origin)
    return {
        "prefix": places.tree(PROCESSED),
        "product": places.product,
        "dataset": prepared["dataset"],
        "uploaded": uploaded,
    }


def sync_processed(places: Places, run: str, *, validation: float, seed: int) -> Result:
    """Bring the stored dataset here, prepare it anew with the product's corrections accepted since, and store that.

    Of a product that was taught on an appliance the photos are those that it is taught from by now.
    """
    from training.data.dataset import MANIFEST

    raw = Run(places, run).folder / RAW
    origin = bring_stored(places, raw)
    (raw / MANIFEST).unlink(missing_ok=True)
    prepared = _prepare(places, run, labels=None, validation=validation, seed=seed)
    processed = Run(places, run).folder / PROCESSED
    upload_tree(processed, places.data_store, places.tree(PROCESSED), origin=origin)
    return prepared


def trained_already(
    places: Places, *, dataset: str, image_size: ImageSize, epochs: int | None, seed: int, weights: str
) -> str | None:
    """The product's newest published version that came of the same dataset and recipe; with the size `auto`, of any."""
    catalogue = Catalogue(places.models_store)
    recipe = (places.product, dataset, seed, weights)
    for version in reversed(catalogue.versions()):
        manifest = catalogue.manifest(version)[1]
        made_of = (manifest.name, manifest.dataset.sha256, manifest.seed, manifest.weights)
        if manifest.epochs != epochs_for(epochs, unknown=manifest.unknown is not None):
            continue
        if made_of == recipe and image_size in (AUTO, manifest.input.height):
            return version
    return None


def train(
    places: Places, run: str, *, dataset: str, image_size: ImageSize, epochs: int | None, weights: str, seed: int
) -> Result:
    """Fine-tune, and hand the checkpoint on; a run does not train twice on the same photos."""
    from training.learning.history import read_history
    from training.pipeline.fitting import fit_dataset

    this = Run(places, run)
    if not _is_trained(this, dataset):
        photos = dataset_of(places, run, dataset)
        recipe = Recipe(epochs=epochs_for(epochs, unknown=photos.has_unknown), seed=seed, weights=weights)
        fit_dataset(photos, recipe, this.folder / TRAINING, image_size=image_size, say=print)
        this.save(TRAINING)
    history = read_history(this.restore(TRAINING) / HISTORY)
    kept = history.epochs[-1]
    return {
        "accuracy": kept.validation_accuracy,
        "f1": kept.validation_f1,
        "epoch": history.kept_epoch,
        "why": history.kept_because,
        "seconds": sum(epoch.seconds for epoch in history.epochs),
    }


def evaluate(places: Places, run: str, *, dataset: str) -> Result:
    """Write the validation report of the run's checkpoint, and hand it on."""
    from training.evaluation.evaluate import evaluate_checkpoint
    from training.metrics.scores import score

    this = Run(places, run)
    checkpoint = this.restore(TRAINING) / CHECKPOINT
    predictions = evaluate_checkpoint(checkpoint, dataset_of(places, run, dataset), this.folder / REPORT).said
    this.save(REPORT)
    scores = score(predictions)
    return {"accuracy": scores.accuracy, "f1": scores.f1, "photos": len(predictions.truth)}


def track(places: Places, run: str, *, dataset: str, tags: dict[str, str]) -> Result:
    """Put the run into the tracking server: figures, report, dataset manifest, checkpoint, source."""
    from training.tracking.run_record import Training, log_training
    from training.tracking.server import Tracker

    this = Run(places, run)
    folder = this.restore(TRAINING)
    training = Training(
        key=run,
        name=run_version(this, TRAINING, folder / CHECKPOINT),
        folder=folder,
        report=this.restore(REPORT),
        dataset=dataset_of(places, run, dataset),
    )
    tracked = log_training(Tracker(places.tracking, product=places.product, resume=RESUME), training, tags)
    return {"mlflow_run": tracked.run_id, "url": tracked.url}


def waiting_feedback(places: Places) -> Result:
    """How many corrections of the product are accepted, and how many of them the stored dataset does not hold yet.

    Those to UNKNOWN are new only if an unknown class can be learned from them. What killed appliances left alone among
    them is removed.
    """
    from runtime.serving.feedback.review import accepted
    from runtime.serving.feedback.review_counter import remove_orphans
    from training.data.prepare import LEAST_OTHERS

    store = places.data_store
    remove_orphans(store)
    index = read_index(store, places.tree(PROCESSED))
    known = set(index.files.values()) if index else set()
    photos = accepted(store, places.product)
    others = sum(path.startswith(f"{UNKNOWN}/") for path in index.files) if index else 0
    enough = others + sum(photo.label == UNKNOWN for photo in photos) >= LEAST_OTHERS
    new = [photo for photo in photos if photo.sha256 not in known and (enough or photo.label != UNKNOWN)]
    return {"accepted": len(photos), "new": len(new)}


def dataset_of(places: Places, run: str, sha256: str) -> Any:
    """The run's prepared dataset, brought here where this machine does not have it. Raises StaleRun."""
    from training.data.dataset import Dataset, DatasetError

    folder = Run(places, run).folder / PROCESSED
    try:
        here = Dataset.open(folder)
        if here.manifest.sha256 == sha256:
            return here
    except DatasetError:
        pass  # not here yet
    download_tree(places.data_store, places.tree(PROCESSED), folder)
    opened = Dataset.open(folder)
    if opened.manifest.sha256 != sha256:
        raise StaleRun(
            f"{places.data}/{places.tree(PROCESSED)}: holds dataset {opened.manifest.sha256[:12]} by now, this run "
            f"began with {sha256[:12]}; start a new run"
        )
    return opened


def _is_trained(run: Run, dataset: str) -> bool:
    """Whether the run has trained on this dataset already; its recipe is always the same."""
    from training.model.checkpoint import Checkpoint

    return bool(run.index(TRAINING)) and Checkpoint.load(run.restore(TRAINING) / CHECKPOINT).dataset_sha256 == dataset


def _prepare(places: Places, run: str, *, labels: list[str] | None, validation: float, seed: int) -> Result:
    from training.data.dataset import DatasetError
    from training.data.prepare import class_folders, near_duplicates
    from training.data.prepare import prepare as prepare_photos
    from training.feedback.accepted import bring_accepted

    folder = Run(places, run).folder
    raw = folder / RAW
    found = class_folders(raw)
    if labels:
        if missing := sorted(label for label in labels if label_among(found, label) is None):
            raise DatasetError(f"there is no class {', '.join(missing)}; the photos have {', '.join(found)}")
        for label in set(found) - {label_among(found, label) for label in labels}:
            shutil.rmtree(raw / label)
    corrected = bring_accepted(places.data_store, raw, places.product)
    manifest = prepare_photos(raw, folder / PROCESSED, validation_fraction=validation, seed=seed)
    counts = {label: sum(photo.label == label for photo in manifest.photos) for label in manifest.labels}
    groups = near_duplicates(manifest)
    return {
        "product": places.product,
        "dataset": manifest.sha256,
        "photos": counts,
        "other": sum(photo.label == UNKNOWN for photo in manifest.photos),
        "left_out": [f"{photo.path}: {photo.reason}" for photo in manifest.left_out],
        "near_duplicates": sum(len(group) for group in groups),
        "one_picture_two_classes": [group for group in groups if len({path.split("/")[0] for path in group}) > 1],
        "feedback": corrected,
    }


def _fetched(places: Places, run: str) -> Path:
    return Run(places, run).folder / "fetched"
