"""The backbone: a ResNet18 in INT8 without a head of its own, whose features a taught model stands on.

A folder named by its version, verified like a bundle: `backbone.json`, the ONNX file, the features of photos of other
things, and those of the golden pictures. `python -m export backbone` writes it.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.bundle.golden_patterns import draw
from runtime.bundle.input import ImageSpec
from runtime.bundle.manifest import BundleError, FileEntry, Gate
from runtime.host.photo_limits import DEFAULT_LIMITS, PhotoLimits
from runtime.image.distributions import brightness_of
from runtime.inference.backends import Kernel, int8_kernels, open_model
from runtime.inference.optional import needs_onnxruntime, reason_for_onnxruntime
from runtime.names import NOT_JSON, FileName, ModelName, Version, plain
from runtime.native.onnx_importer import UnknownGraphError
from runtime.teaching.examples import Sums
from runtime.teaching.onnx_head import features_of, with_head
from runtime.teaching.subjects import may_show
from runtime.teaching.views import views_of

SCHEMA_VERSION = 1
RECORD, MODEL, OTHERS, GOLDEN = "backbone.json", "model.onnx", "others.npz", "golden.npz"
# Of the length of a golden picture's features, that of the difference. Right kernels differ by none, or by a few
# hundredths where rounding turns out otherwise (SSE, ARM); sums that saturate make a quarter.
DEVIATION_LIMIT = 0.05

log = logging.getLogger(__name__)


class GoldenPicture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A generated picture (`golden_patterns.draw`)."""

    pattern: str
    seed: Annotated[int, msgspec.Meta(ge=0)]


class BackboneRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`backbone.json`. A feature is a sum of bytes over `places`, of which one stands for `scale`.

    `others` says of each photo of other things what it shows. `gates` compare INT8 with FP32.
    """

    schema_version: int
    name: ModelName
    version: Version
    created: str
    input: ImageSpec
    weights: str
    places: Annotated[int, msgspec.Meta(ge=1)]
    scale: Annotated[float, msgspec.Meta(gt=0)]
    others: list[str]
    golden: Annotated[list[GoldenPicture], msgspec.Meta(min_length=1)]
    gates: list[Gate]
    files: dict[FileName, FileEntry]


@dataclass(frozen=True)
class Backbone:
    """A verified backbone: its record with the SHA-256 of that, and the ONNX file.

    `others` [M, V, D] are the features of photos of other things; `golden` and `golden_fp32` [G, D] those of the golden
    pictures, by INT8 and by FP32, as float64 in the unit of `scale`. `golden_maps` [G, places, D] are the bytes that
    those by INT8 are sums of; None if the backbone is of an earlier release.
    """

    record: BackboneRecord
    sha256: str
    model: bytes
    others: Sums
    golden: NDArray[np.float64]
    golden_fp32: NDArray[np.float64]
    golden_maps: NDArray[np.uint8] | None

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Read and verify a backbone; the one in this package if no folder is given. Raises BundleError."""
        folder = folder or default_backbone()
        data = _read(folder / RECORD)
        record = _record(data, folder / RECORD)
        files = {name: _verified(folder / name, entry) for name, entry in record.files.items()}
        try:
            golden = np.load(io.BytesIO(files[GOLDEN]), allow_pickle=False)
            others: Sums = np.load(io.BytesIO(files[OTHERS]), allow_pickle=False)["features"]
            sha256, maps = hashlib.sha256(data).hexdigest(), golden.get("maps")
            return cls(record, sha256, files[MODEL], others, golden["int8"], golden["fp32"], maps)
        except (KeyError, ValueError) as error:
            raise BundleError(f"{folder}: has no {error}; install the package again") from error

    @property
    def spec(self) -> ImageSpec:
        """How a photo is decoded for it."""
        return self.record.input

    def others_for(self, labels: Sequence[str]) -> Sums:
        """Features [M, V, D] of photos of other things than `labels`."""
        others: Sums = self.others[[not may_show(subject, labels) for subject in self.record.others]]
        return others

    @property
    def scale(self) -> float:
        """What a sum of 1 stands for, so that `sums * scale` are the means over the places."""
        return self.record.scale / self.record.places

    def extractor(self, *, threads: int) -> FeatureExtractor:
        """Its features on this CPU, by the fastest kernel that is right there. Raises BundleError."""
        unknown, deviations = None, []
        for kernel in int8_kernels():
            try:
                found = FeatureExtractor(self.model, kernel, self.spec, self.record.scale, threads=threads)
            except UnknownGraphError as reason:
                unknown = reason
                continue
            if (deviation := self._deviation(found)) <= DEVIATION_LIMIT:
                return found
            deviations.append(deviation)
            log.warning("%s: features of %s are off by %.2f", self.record.version, kernel.kernel, deviation)
        if not deviations:
            raise needs_onnxruntime(f"the backbone {self.record.version}", reason_for_onnxruntime(unknown))
        raise BundleError(f"the backbone {self.record.version}: wrong features on this CPU by every kernel")

    def _deviation(self, extractor: FeatureExtractor) -> float:
        # One after the other: a session keeps the memory of the largest batch that it has had.
        pictures = (draw(one.pattern, one.seed, self.spec)[np.newaxis] for one in self.record.golden)
        found = np.concatenate([extractor.features(picture) for picture in pictures]) * self.scale
        return float((np.linalg.norm(found - self.golden, axis=1) / np.linalg.norm(self.golden, axis=1)).max())


class Seen(NamedTuple):
    """What is kept of a photo: the features [V, D] of its views, and its mean brightness, 0..1."""

    features: Sums
    brightness: float


class FeatureExtractor:
    """Features of decoded photos, as sums of bytes; thread-safe. It holds the backbone's weights in memory."""

    def __init__(self, model: bytes, kernel: Kernel, spec: ImageSpec, scale: float, *, threads: int) -> None:
        """Open the backbone's ONNX file, in which a byte of the last feature map stands for `scale`.

        With the identity as its head, its activation map is the feature map. Raises BundleError, UnknownGraphError.
        """
        self.kernel = kernel
        self._spec = spec
        self._scale = np.float32(scale)
        identity = np.eye(features_of(model), dtype=np.float32)
        headed = with_head(model, identity, np.zeros(len(identity), np.float32), 1.0)
        self._session = open_model(headed, kernel, spec, len(identity), threads=threads)

    def features(self, pixels: NDArray[np.uint8]) -> Sums:
        """Features [N, D] of `pixels` [N, height, width, 3]."""
        sums: Sums = self.maps(pixels).sum(axis=1, dtype=np.uint16)
        return sums

    def maps(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The last feature map's bytes [N, places, D] of `pixels` [N, height, width, 3]: features are their sums."""
        maps = self._session.infer(pixels).activation_map  # [N, D, h, w]
        found: NDArray[np.uint8] = np.rint(maps / self._scale).astype(np.uint8)
        return found.reshape(*found.shape[:2], -1).transpose(0, 2, 1)

    def features_of(self, photo: bytes, limits: PhotoLimits = DEFAULT_LIMITS) -> Seen:
        """Look at an encoded photo, one view after the other. Raises ImageError."""
        views = list(views_of(photo, self._spec, limits))
        sums = np.concatenate([self.features(view[np.newaxis]) for view in views])
        return Seen(sums, brightness_of(views[0][np.newaxis])[0])


def default_backbone() -> Path:
    """The folder of the backbone in this package; raises BundleError."""
    folder = Path(__file__).with_name("backbones")
    for record in folder.glob(f"*/{RECORD}"):
        return record.parent
    raise BundleError(f"{folder}: has no backbone; install the package again")


def _record(data: bytes, file: Path) -> BackboneRecord:
    try:
        record = msgspec.json.decode(data, type=BackboneRecord)
    except NOT_JSON as error:
        raise BundleError(f"{file}: {plain(error)}; install the package again") from error
    if record.schema_version != SCHEMA_VERSION:
        raise BundleError(f"{file}: schema version {record.schema_version}, this runtime reads {SCHEMA_VERSION}")
    if missing := {MODEL, OTHERS, GOLDEN} - set(record.files):
        raise BundleError(f"{file}: `files` does not list {', '.join(sorted(missing))}; install the package again")
    return record


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}; install the package again") from error


def _verified(file: Path, entry: FileEntry) -> bytes:
    data = _read(file)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise BundleError(f"{file}: differs from what {RECORD} says; install the package again")
    return data
