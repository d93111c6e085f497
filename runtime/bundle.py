"""The bundle contract: a folder named by its version that holds a model and everything needed to trust it.

The reader owns the contract; `export` imports it to write. Nothing is believed until it has been checked:
`Bundle.open` verifies the manifest's schema and every file's size and SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

import msgspec

from runtime.commands import Refusal
from runtime.image import ImageSpec

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
MODEL = "model.onnx"
FP32_MODEL = "model.fp32.onnx"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
# `$` alone would allow a line break at the end.
Version = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$(?!\n)")]


class BundleError(Refusal):
    """A bundle that must not be served; the message names the file and the remedy."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Strict by default: a key that nobody reads is a key that somebody misspelt."""


class FileEntry(_Record, frozen=True):
    """One file of the bundle, as it was when the bundle was written."""

    sha256: Sha256
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]


class ByteRange(_Record, frozen=True):
    """Bytes `offset` to `offset + size` of a file."""

    offset: Annotated[int, msgspec.Meta(ge=0)]
    size: Annotated[int, msgspec.Meta(ge=1)]


class Scores(_Record, frozen=True):
    """Quality of one precision on the validation photos; precision, recall and F1 are means over the classes."""

    accuracy: Fraction
    precision: Fraction
    recall: Fraction
    f1: Fraction
    log_loss: float
    calibration_error: Fraction


class Metrics(_Record, frozen=True):
    """FP32 and INT8 on the same validation photos."""

    photos: int
    fp32: Scores
    int8: Scores
    agreement: Fraction
    answered: Fraction
    answered_precision: Fraction


class Gate(_Record, frozen=True):
    """One condition that the bundle had to meet before it was written."""

    name: str
    value: float
    limit: float
    rule: Literal["at least", "at most"]

    @property
    def passed(self) -> bool:
        """Whether the value is on the right side of the limit."""
        return self.value >= self.limit if self.rule == "at least" else self.value <= self.limit


class Dataset(_Record, frozen=True):
    """Which photos the model was trained on."""

    sha256: Sha256
    train_photos: int
    validation_photos: int


class Reference(_Record, frozen=True):
    """What the model said of the validation photos, to tell later whether what it is shown has changed.

    `labels` are the fractions of the predicted labels; `confidence` and `brightness` (of the decoded photo, 0..1) are
    histograms of equal bins over 0..1, as fractions.
    """

    labels: dict[str, Fraction]
    confidence: Annotated[list[Fraction], msgspec.Meta(min_length=2)]
    brightness: Annotated[list[Fraction], msgspec.Meta(min_length=2)]


class GoldenCase(_Record, frozen=True):
    """An input that every host can make for itself (`runtime.golden.draw`) and what the models answer to it.

    `probabilities` are the FP32 model's, `int8` those of the INT8 model where it is computed right; bundles of earlier
    releases recorded no such ones.
    """

    pattern: str
    seed: Annotated[int, msgspec.Meta(ge=0)]
    probabilities: list[Fraction]
    int8: list[Fraction] | None = None


class Manifest(_Record, frozen=True):
    """`manifest.json`: what the model is, how it was made, how good it is, and how to tell that it is intact."""

    schema_version: int
    name: str
    version: Version
    created: str
    labels: Annotated[list[str], msgspec.Meta(min_length=2)]
    input: ImageSpec
    temperature: float
    abstain_threshold: Fraction
    metrics: Metrics
    gates: list[Gate]
    dataset: Dataset
    weights: str
    epochs: int
    seed: int
    git_commit: str | None
    mlflow_run: str | None
    golden: Annotated[list[GoldenCase], msgspec.Meta(min_length=1)]
    reference: Reference
    files: dict[str, FileEntry]
    int8_weights: list[ByteRange] = []  # read by earlier releases, which do not open a manifest without it


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read and verify the bundle in the folder `path`.

        Raises BundleError when the manifest is missing, malformed or of another schema version, or when a file is
        missing, differs from its recorded size or SHA-256, or lies outside the folder.
        """
        manifest = read_manifest(path / MANIFEST)
        if MODEL not in manifest.files:
            raise BundleError(f"{path / MANIFEST}: `files` does not list {MODEL}; export the bundle again")
        for name, entry in manifest.files.items():
            _verify(path, name, entry)
        return cls(path, manifest)

    @property
    def model(self) -> Path:
        """The INT8 model."""
        return self.path / MODEL

    @property
    def fp32_model(self) -> Path | None:
        """The FP32 reference, where the bundle carries it."""
        return self.path / FP32_MODEL if FP32_MODEL in self.manifest.files else None


def read_manifest(path: Path) -> Manifest:
    """Parse and validate a manifest; raises BundleError naming the key that is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; point at a bundle folder that holds a {MANIFEST}") from error
    return parse_manifest(data, origin=str(path))


def parse_manifest(data: bytes, *, origin: str) -> Manifest:
    """Validate a manifest's bytes; `origin` is what an error calls them."""
    try:
        schema_version = msgspec.json.decode(data, type=_Versioned).schema_version
        if schema_version != SCHEMA_VERSION:
            raise BundleError(
                f"{origin}: schema version {schema_version}, this runtime reads {SCHEMA_VERSION}; "
                "export the bundle with the matching release"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{origin}: {error}; export the bundle again") from error
    if len(set(manifest.labels)) < len(manifest.labels):
        raise BundleError(f"{origin}: a label occurs twice; export the bundle again")
    for case in manifest.golden:
        for answer in (case.probabilities, case.int8):
            if answer is not None and len(answer) != len(manifest.labels):
                raise BundleError(f"{origin}: a golden case has {len(answer)} probabilities for "
                                  f"{len(manifest.labels)} labels; export the bundle again")  # fmt: skip
    return manifest


def describe_file(path: Path) -> FileEntry:
    """Hash one file for the manifest."""
    with path.open("rb") as file:
        return FileEntry(
            sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=os.fstat(file.fileno()).st_size
        )


def to_json(record: msgspec.Struct) -> bytes:
    """A record as JSON that people can read too: indented, one line at the end."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


class _Versioned(msgspec.Struct):
    schema_version: int


def _verify(folder: Path, name: str, entry: FileEntry) -> None:
    if PurePosixPath(name).name != name or not re.fullmatch(r"[A-Za-z0-9._-]+", name) or name in {".", ".."}:
        raise BundleError(f"{folder / MANIFEST}: file name {name!r} leaves the bundle; export the bundle again")
    path = folder / name
    try:
        if path.is_symlink():
            raise BundleError(f"{path}: is a link, which could leave the bundle; copy the file itself")
        found = describe_file(path)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; fetch the bundle again") from error
    if found.size_bytes != entry.size_bytes:
        raise BundleError(
            f"{path}: {found.size_bytes} bytes, the manifest says {entry.size_bytes}; fetch the bundle again"
        )
    if found.sha256 != entry.sha256:
        raise BundleError(
            f"{path}: sha256 is {found.sha256[:8]}…, the manifest says {entry.sha256[:8]}…; fetch the bundle again"
        )
