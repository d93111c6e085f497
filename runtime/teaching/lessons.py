"""From a dataset in the workspace to a taught bundle beside it, which is tried and served or thrown away."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from runtime.bundle.display import MAX_TITLE, Display
from runtime.bundle.manifest import Bundle, BundleError
from runtime.host.atomic import remove_folder, whole_file
from runtime.host.memory import return_free_memory
from runtime.names import MAX_NAME, NOT_JSON
from runtime.teaching.backbone import Backbone
from runtime.teaching.bundle import Identity, version_of, write_bundle
from runtime.teaching.examples import Examples
from runtime.teaching.extraction import Extraction
from runtime.teaching.teach import Lesson, Progress, teach
from runtime.teaching.worker import Stage
from runtime.teaching.workspace.database import disk_of
from runtime.teaching.workspace.errors import NotThere
from runtime.teaching.workspace.workspace import Workspace

NAMELESS = "taught"  # the name of a model, if that of its dataset has no letter that it could keep


class Lessons:
    """Teaches datasets, one at a time."""

    def __init__(self, extraction: Extraction) -> None:
        """Features are those of `extraction`."""
        self._extraction = extraction

    def __call__(self, workspace: Workspace, dataset: str, stage: Stage) -> None:
        """Teach the photos of a dataset that have features; keeps report and bundle, and removes earlier ones.

        Raises TooFew, WriteError, NotThere and what `stage` raises; then everything is as it was.
        """
        learned_from = workspace.runs.learned_from(dataset)
        backbone = self._extraction.backbone()
        examples = workspace.features.examples(dataset, self._extraction.about().key)
        lesson = learn(examples, backbone, on_progress=_stages(stage))
        stage("checking", 1, 1)
        created = datetime.now(UTC)
        folder = workspace.files.models(dataset)
        target = folder / version_of(lesson, created)
        identity = identity_of(workspace.datasets.name_of(dataset), dataset)
        remove_folder(target)  # of a teaching in the same second that gave the same head, perhaps of other labels
        bundle = write_bundle(lesson, backbone, target, identity, created=created)
        _note_photos(bundle, examples)
        try:
            workspace.runs.learned(dataset, lesson.report, target.name, learned_from)
        except NotThere:  # its files were deleted before these were written
            workspace.files.remove_models(dataset)
            raise
        _remove_others(folder, target)
        return_free_memory()


def learn(examples: Examples, backbone: Backbone, *, on_progress: Progress) -> Lesson:
    """What `examples` teach, with the backbone's photos of other things; raises as `teach` does."""
    others = backbone.others_for(examples.labels)
    return teach(examples, others if len(others) else None, backbone.scale, on_progress=on_progress)


def identity_of(name: str, dataset: str | None) -> Identity:
    """What the model of a dataset called `name` is called, and what pages show of it."""
    title = name if len(name) <= MAX_TITLE else f"{name[: MAX_TITLE - 1]}…"
    return Identity(model_name(name), Display(title=title), dataset)


def model_name(name: str) -> str:
    """The name of a model, from any text: `Ma prairie à moi` becomes `ma-prairie-a-moi`."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    return plain[:MAX_NAME].rstrip("-") or NAMELESS


class TaughtFrom(msgspec.Struct, frozen=True):
    """The photos that a version was taught from: labels and SHA-256."""

    photos: list[tuple[str, str]]


def open_taught(workspace: Workspace, dataset: str, version: str) -> Bundle:
    """The taught bundle of a dataset, verified; raises BundleError."""
    return Bundle.open(workspace.files.models(dataset) / version)


def taught_from(workspace: Workspace, dataset: str, version: str) -> TaughtFrom:
    """The photos that a taught version of a dataset was taught from; raises BundleError."""
    file = _noted_beside(workspace.files.models(dataset) / version)
    try:
        return msgspec.json.decode(file.read_bytes(), type=TaughtFrom)
    except (OSError, *NOT_JSON) as error:
        raise BundleError(f"{file}: cannot be read ({error}); teach again") from error


def _note_photos(bundle: Bundle, examples: Examples) -> None:
    photos = [
        (examples.labels[index], photo) for index, photo in zip(examples.truth.tolist(), examples.photos, strict=True)
    ]
    with disk_of(bundle.path.parent), whole_file(_noted_beside(bundle.path)) as part:
        part.write_bytes(msgspec.json.encode(TaughtFrom(photos)))


def _noted_beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.photos.json")


def _remove_others(folder: Path, kept: Path) -> None:
    """Remove what is in `folder` but for one bundle and the list of its photos."""
    for each in folder.iterdir():
        if each not in {kept, _noted_beside(kept)}:
            if each.is_dir():
                remove_folder(each)
            else:
                each.unlink(missing_ok=True)


def _stages(stage: Stage) -> Progress:
    def on_progress(name: str, done: int, total: int) -> None:
        stage("checking" if name == "checking" else "learning", done, total)

    return on_progress
