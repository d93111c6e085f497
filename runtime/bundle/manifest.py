"""The bundle manifest: schema, hashes and golden cases of a model version, and their verification.

A bundle is a folder named by its version. The reader owns this schema; `export` imports it to write. `Bundle.open`
verifies the manifest's schema and the size and SHA-256 of every file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec

from runtime.bundle.display import PICTURES, Display, Picture
from runtime.bundle.input import ImageSpec
from runtime.bundle.picture import MAX_PICTURE_BYTES, BadPicture, check_picture
from runtime.errors import Refusal
from runtime.names import (
    MAX_NAME,
    MAX_PART_BYTES,
    NOT_JSON,
    UNKNOWN,
    FileName,
    Label,
    ModelName,
    Sha256,
    Version,
    composed,
    is_reserved,
    plain,
)

SCHEMA_VERSION = 1  # of a bundle whose model knows its labels alone
UNKNOWN_SCHEMA_VERSION = 2  # of one whose model has a further output, the unknown class
TAUGHT_SCHEMA_VERSION = 3  # of one that was taught on an appliance, with or without that output
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
MODEL = "model.onnx"
FP32_MODEL = "model.fp32.onnx"

_SCHEMA_VERSIONS = range(SCHEMA_VERSION, TAUGHT_SCHEMA_VERSION + 1)

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

# What a manifest may state at most; each is many times what the export writes.
MAX_MANIFEST_BYTES = 1_000_000
MAX_SIGNATURE_BYTES = 1_000
MAX_FILES = 16
MAX_BUNDLE_BYTES = 2**30  # of all files: a hundred times the default bundle
MAX_LABELS = 1000  # ImageNet's
MAX_GOLDEN = 64


class BundleError(Refusal):
    """A bundle that must not be served; the message names the file and the remedy."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Strict by default: an unknown key is probably a misspelt one."""


class FileEntry(_Record, frozen=True):
    """One file of the bundle, as it was when the bundle was written."""

    sha256: Sha256
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_BUNDLE_BYTES)]


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


class ValidationMetrics(_Record, frozen=True):
    """Quality of FP32 and INT8 on the same validation photos, and how often the model abstains.

    Of a taught model `int8` is of cross-validation, `fp32` and `agreement` are None: no FP32 model has seen its photos.
    """

    photos: int
    fp32: Scores | None
    int8: Scores
    agreement: Fraction | None
    answered: Fraction
    answered_precision: Fraction


class Gate(_Record, frozen=True, omit_defaults=True):
    """One quality gate that the bundle passed before it was written.

    Where there is a `bound`, it decides: the end of the value's 95 % interval that must be on the right side of the
    limit. `about` says what was counted.
    """

    name: str
    value: float
    limit: float
    rule: Literal["at least", "at most"]
    bound: float | None = None
    about: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the value, or its bound, is on the right side of the limit."""
        decides = self.value if self.bound is None else self.bound
        return decides >= self.limit if self.rule == "at least" else decides <= self.limit


class TrainingData(_Record, frozen=True):
    """Which photos the model was trained on."""

    sha256: Sha256
    train_photos: int
    validation_photos: int


class DriftReference(_Record, frozen=True):
    """Reference distributions of the validation photos, for drift detection; `confidence` is that in the labels.

    `labels` are the fractions of the predicted labels, among them `names.UNKNOWN` if the model has that output;
    `confidence` and `brightness` (of the decoded photo, 0..1) are histograms of equal bins over 0..1, as
    fractions.
    """

    labels: dict[str, Fraction]
    confidence: Annotated[list[Fraction], msgspec.Meta(min_length=2)]
    brightness: Annotated[list[Fraction], msgspec.Meta(min_length=2)]


class GoldenCase(_Record, frozen=True):
    """A known-answer test: a synthetic input (`golden_patterns.draw`) and the expected value of each output.

    `probabilities` are the FP32 model's, `int8` those of the INT8 model: the native kernel's, to the last bit; those of
    onnxruntime's exact arithmetic if the kernel does not compute the graph, and in bundles of earlier releases.
    """

    pattern: str
    seed: Annotated[int, msgspec.Meta(ge=0)]
    probabilities: list[Fraction]
    int8: list[Fraction]


class UnknownMetrics(_Record, frozen=True):
    """How well the model tells its labels' photos from others, on photos that it was not trained on."""

    own_photos: Annotated[int, msgspec.Meta(ge=0)]
    own_called_unknown: Fraction
    other_photos: Annotated[int, msgspec.Meta(ge=0)]
    other_answered_with_certainty: Fraction


class Unknown(_Record, frozen=True, omit_defaults=True):
    """The unknown class (open-set recognition): the graph's last output is the probability of "none of the labels".

    A photo is unknown if that probability is at least `threshold`.
    """

    threshold: Fraction
    metrics: UnknownMetrics | None = None


class Taught(_Record, frozen=True):
    """How a model was taught on an appliance: a head on the features of a backbone (transfer learning).

    `backbone_sha256` is that of the backbone's record, which compares its INT8 with FP32. `photos` are counted by
    label; `interval` (95 %) is of the cross-validated accuracy; `dataset` is the appliance's name for the photos.
    """

    backbone: Version
    backbone_sha256: Sha256
    photos: dict[Label, Annotated[int, msgspec.Meta(ge=0)]]
    folds: Annotated[int, msgspec.Meta(ge=2)]
    interval: tuple[Fraction, Fraction]
    dataset: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] | None = None


class Manifest(_Record, frozen=True, omit_defaults=True):  # a release before an optional key reads what lacks it
    """`manifest.json`: identity, provenance, quality, golden cases and file hashes of a model version.

    `display` is what pages show of the product, where name and labels do not say enough. TAUGHT_SCHEMA_VERSION has
    `taught`, UNKNOWN_SCHEMA_VERSION has `unknown`, and no other has either, but that a taught model may have both.
    """

    schema_version: int
    name: ModelName
    version: Version
    created: str
    labels: Annotated[list[Label], msgspec.Meta(min_length=2, max_length=MAX_LABELS)]
    input: ImageSpec
    temperature: float
    abstain_threshold: Fraction
    metrics: ValidationMetrics
    gates: list[Gate]
    dataset: TrainingData
    weights: str
    epochs: int
    seed: int
    git_commit: str | None
    mlflow_run: str | None
    golden: Annotated[list[GoldenCase], msgspec.Meta(min_length=1, max_length=MAX_GOLDEN)]
    reference: DriftReference
    files: Annotated[dict[FileName, FileEntry], msgspec.Meta(max_length=MAX_FILES)]
    int8_weights: list[ByteRange] = []  # unused; the default bundle's manifest has it, and its hash is fixed
    display: Display | None = None
    unknown: Unknown | None = None
    taught: Taught | None = None

    @property
    def classes(self) -> list[str]:
        """What each output of the graph is for, in their order: the labels, then UNKNOWN if it has that class."""
        return [*self.labels, UNKNOWN] if self.unknown else self.labels

    @property
    def outputs(self) -> int:
        """How many outputs the graph has."""
        return len(self.classes)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read and verify the bundle in the folder `path`.

        Raises BundleError when the manifest is missing, malformed or of another schema version, or when a file is
        missing, differs from its recorded size or SHA-256, lies outside the folder, or is a picture that could do harm.
        """
        manifest = read_manifest(path / MANIFEST)
        for name, entry in manifest.files.items():
            _verify(path, name, entry)
        bundle = cls(path, manifest)
        bundle.picture()
        return bundle

    @property
    def model(self) -> Path:
        """The INT8 model."""
        return self.path / MODEL

    @property
    def fp32_model(self) -> Path | None:
        """The FP32 reference; None if the bundle has none."""
        return self.path / FP32_MODEL if FP32_MODEL in self.manifest.files else None

    def picture(self) -> Picture | None:
        """Read and check the picture of the product; None if the bundle has none. Raises BundleError."""
        name = self.manifest.display and self.manifest.display.picture
        if not name:
            return None
        try:
            data = (self.path / name).read_bytes()
            check_picture(data, name)
        except OSError as error:
            raise BundleError(f"{self.path / name}: {error.strerror}; fetch the bundle again") from error
        except BadPicture as error:
            raise BundleError(f"{self.path / name}: {error}; export the bundle again") from error
        return Picture(PICTURES[name], data)


def read_manifest(path: Path) -> Manifest:
    """Parse and validate a manifest; raises BundleError naming the key that is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; point at a bundle folder that holds a {MANIFEST}") from error
    return parse_manifest(data, origin=str(path))


def parse_manifest(data: bytes, *, origin: str) -> Manifest:
    """Validate a manifest's bytes; `origin` is what an error calls them. Raises BundleError."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{origin}: is larger than the {MAX_MANIFEST_BYTES:,} bytes of a manifest; do not trust it")
    try:
        schema_version = msgspec.json.decode(data, type=_Versioned).schema_version
        if schema_version not in _SCHEMA_VERSIONS:
            raise BundleError(
                f"{origin}: schema version {schema_version}, this runtime reads {SCHEMA_VERSION} to "
                f"{TAUGHT_SCHEMA_VERSION}; export the bundle with the matching release"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except NOT_JSON as error:
        raise BundleError(f"{origin}: {plain(error)}; export the bundle again") from error
    _check_files(manifest.files, origin)
    _check_display(manifest, origin)
    _check_labels(manifest.labels, origin)
    _check_schema(manifest, origin)
    _check_golden(manifest, origin)
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


def _check_files(files: Mapping[str, FileEntry], origin: str) -> None:
    if MODEL not in files:
        raise BundleError(f"{origin}: `files` does not list {MODEL}; export the bundle again")
    lowered = {name.lower() for name in files}  # some file systems know no case
    if len(lowered) < len(files):
        raise BundleError(f"{origin}: two file names differ in case alone; export the bundle again")
    for name in (MANIFEST, SIGNATURE):
        if name in lowered:  # which are no files of the bundle, but about it
            raise BundleError(f"{origin}: `files` lists {name}; export the bundle again")
    if sum(entry.size_bytes for entry in files.values()) > MAX_BUNDLE_BYTES:
        raise BundleError(f"{origin}: its files are larger than the {MAX_BUNDLE_BYTES:,} bytes of a bundle")


def _check_labels(labels: Sequence[str], origin: str) -> None:
    if any(len(label.encode()) > MAX_PART_BYTES for label in labels):
        raise BundleError(f"{origin}: a label is longer than {MAX_PART_BYTES} bytes, so no folder can have its name")
    if len({composed(label) for label in labels}) < len(labels):
        raise BundleError(f"{origin}: a label occurs twice; export the bundle again")
    if reserved := next(filter(is_reserved, labels), None):
        raise BundleError(f"{origin}: the label {reserved!r} is reserved for photos of none of the labels; rename it")


def _check_schema(manifest: Manifest, origin: str) -> None:
    version, taught = manifest.schema_version, manifest.schema_version == TAUGHT_SCHEMA_VERSION
    unknown = version == UNKNOWN_SCHEMA_VERSION or (taught and manifest.unknown is not None)
    for key, there in (("taught", taught), ("unknown", unknown)):
        if (getattr(manifest, key) is not None) != there:
            verb = "lacks the" if there else "has no"
            raise BundleError(f"{origin}: schema version {version} {verb} key `{key}`; export the bundle again")
    if not taught and None in (manifest.metrics.fp32, manifest.metrics.agreement):
        raise BundleError(f"{origin}: `metrics` lacks figures of FP32; export the bundle again")


def _check_golden(manifest: Manifest, origin: str) -> None:
    expected = f"{len(manifest.labels)} labels{' and the unknown class' if manifest.unknown else ''}"
    for case in manifest.golden:
        for answer in (case.probabilities, case.int8):
            if len(answer) != manifest.outputs:
                raise BundleError(
                    f"{origin}: a golden case has {len(answer)} probabilities for {expected}; export the bundle again"
                )


def _check_display(manifest: Manifest, origin: str) -> None:
    picture = manifest.display and manifest.display.picture
    if not picture:
        return
    if picture not in manifest.files:
        raise BundleError(f"{origin}: `files` does not list {picture}; export the bundle again")
    if manifest.files[picture].size_bytes > MAX_PICTURE_BYTES:
        raise BundleError(f"{origin}: {picture} is larger than {MAX_PICTURE_BYTES >> 10} KiB; export it again")


def _verify(folder: Path, name: str, entry: FileEntry) -> None:
    path = folder / name
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BundleError(f"{path}: is not a plain file; a link could leave the bundle; copy the file itself")
        found_bytes = path.stat().st_size
        found = describe_file(path) if found_bytes == entry.size_bytes else None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; fetch the bundle again") from error
    if found is None:
        raise BundleError(f"{path}: {found_bytes} bytes, the manifest says {entry.size_bytes}; fetch the bundle again")
    if found.sha256 != entry.sha256:
        raise BundleError(
            f"{path}: sha256 is {found.sha256[:8]}…, the manifest says {entry.sha256[:8]}…; fetch the bundle again"
        )
