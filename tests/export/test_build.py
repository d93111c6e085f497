from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
import torch

from export.build import build, convert
from export.bundle_writer import WriteError, staged
from export.calibration import abstain_threshold, fit_temperature
from export.evidence import session_probabilities
from export.gates import GateError, Limits, measure, require
from export.graph import ServingGraph
from runtime.bundle.manifest import FP32_MODEL, MODEL, Bundle
from runtime.image import ImageSpec
from runtime.inference.backends import open_validated
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from tests.support.photos import photo
from tests.support.servers import appliance
from training.data.dataset import Dataset
from training.data.pixels import load_pixels
from training.data.prepare import prepare
from training.learning.fit import predict_logits
from training.metrics.scores import Predictions
from training.model.checkpoint import Checkpoint, CheckpointError
from training.model.network import build as build_network
from training.model.network import normalise

EASY = Limits(min_accuracy=0.5, answered_precision=0.9)


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def models(checkpoint_file: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    convert(Checkpoint.load(checkpoint_file), load_pixels(dataset, 64), 1.5, folder)
    return folder


@pytest.mark.parametrize("size", [64, 96])
def test_the_serving_graph_is_the_same_function_as_the_network(size: int) -> None:
    torch.manual_seed(0)
    network = build_network(3).eval()
    pixels = torch.randint(0, 256, (3, size, size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        logits = network(normalise(pixels))
        probabilities, evidence = ServingGraph(network, temperature=1.7)(pixels)
    assert torch.allclose(probabilities, torch.softmax(logits / 1.7, dim=1), atol=1e-5)
    assert evidence.shape == (3, 3, size // 32, size // 32)
    bias: torch.Tensor = network.fc.bias  # type: ignore[assignment, union-attr]
    assert torch.allclose(evidence.mean(dim=(2, 3)) + bias, logits, atol=1e-3)


def test_the_int8_graph_takes_raw_bytes_and_has_no_float_in_its_body(models: Path) -> None:
    graph = onnx.load(models / MODEL).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [dimension.dim_value for dimension in graph.input[0].type.tensor_type.shape.dim] == [0, 64, 64, 3]
    before_stem = [node.op_type for node in graph.node][: [node.op_type for node in graph.node].index("Conv")]
    assert "Cast" not in before_stem
    assert not [node for node in graph.node if node.op_type == "Relu"]  # clipping is part of the quantisation
    assert not any(prop for node in graph.node for prop in node.metadata_props)  # no paths of the exporting machine


def test_fp32_and_int8_agree_in_any_batch(models: Path, dataset: Dataset, checkpoint: Checkpoint) -> None:
    spec, pixels = ImageSpec(height=64, width=64), np.array(load_pixels(dataset, 64))
    fp32, int8 = (OnnxruntimeSession(models / name, spec, 2, threads=1) for name in (FP32_MODEL, MODEL))
    alone = session_probabilities(fp32, pixels)
    assert np.abs(alone - fp32.infer(pixels).probabilities).max() < 1e-4
    expected = torch.softmax(torch.from_numpy(predict_logits(checkpoint.network(), pixels)) / 1.5, dim=1).numpy()
    assert np.abs(alone - expected).max() < 1e-4
    assert (session_probabilities(int8, pixels).argmax(1) == alone.argmax(1)).mean() > 0.9


def test_a_build_makes_a_bundle_that_serves(checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    bundle = build(checkpoint, dataset, tmp_path / "v1", limits=EASY, say=quiet)
    assert bundle.path == tmp_path / "v1"
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]
    manifest = bundle.manifest
    assert manifest.labels == ["dandelion", "grass"]
    assert {gate.name for gate in manifest.gates} == {"parity", "agreement", "accuracy_loss", "accuracy"}
    assert all(gate.passed for gate in manifest.gates)
    assert manifest.files.keys() == {MODEL, FP32_MODEL}
    assert len(manifest.golden) == 12
    open_validated(bundle, threads=1)
    # Without VNNI, `fast` may be right enough to serve, and further off.
    assert open_validated(bundle, threads=1, preferred="exact").kernel.deviation < 1e-3
    assert manifest.dataset.sha256 == dataset.manifest.sha256
    with appliance(tmp_path, "--bundle", str(bundle.path)) as running:
        answer = httpx.post(running.url + "/predict", files={"file": photo("dandelion", 50)}).json()
    assert answer["label"] == "dandelion"
    assert answer["model"]["version"] == "v1"


def test_a_bundle_can_leave_its_reference_at_home(checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    bundle = build(checkpoint, dataset, tmp_path / "v1", limits=EASY, with_fp32=False, say=quiet)
    assert bundle.fp32_model is None
    assert bundle.manifest.files.keys() == {MODEL}


def test_a_model_below_the_accuracy_floor_is_not_written(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(GateError, match=r"accuracy is .*, must be at least 1\.1; nothing was written"):
        build(checkpoint, dataset, tmp_path / "v1", limits=Limits(min_accuracy=1.1), say=quiet)
    assert list(tmp_path.iterdir()) == []


def said(labels: list[int]) -> Predictions:
    probabilities = np.eye(2, dtype=np.float32)[labels]
    return Predictions(["a", "b"], [""] * len(labels), np.array([0, 1] * (len(labels) // 2)), probabilities)


RIGHT = [0, 1] * 100


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"parity": 2e-4}, "parity is 0.0002, must be at most 0.0001"),
        ({"int8": said([1, 0, 1, *RIGHT[3:]])}, "agreement is 0.985, must be at least 0.99"),
        ({"int8": said([1, 0, *RIGHT[2:]])}, "accuracy_loss is 0.01, must be at most 0.005"),
        ({"fp32": said([1, 0] * 100), "int8": said([1, 0] * 100)}, "accuracy is 0, must be at least 0.93"),
    ],
)
def test_each_gate_refuses_by_name(change: dict[str, object], gate: str) -> None:
    good: dict[str, object] = {"parity": 0.0, "fp32": said(RIGHT), "int8": said(RIGHT)}
    require(measure(**good, limits=Limits()))  # type: ignore[arg-type]
    with pytest.raises(GateError, match=gate):
        require(measure(**good | change, limits=Limits()))  # type: ignore[arg-type]


def test_a_checkpoint_of_another_dataset_or_other_classes_is_refused(
    checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path
) -> None:
    prepare(dataset.path.parent / "raw", tmp_path / "other", seed=9)
    with pytest.raises(CheckpointError, match=r"was trained on dataset .*train on this dataset"):
        build(checkpoint, Dataset.open(tmp_path / "other"), tmp_path / "v1", limits=EASY, say=quiet)
    with pytest.raises(CheckpointError, match="the checkpoint's classes are x, y, the dataset's dandelion, grass"):
        build(replace(checkpoint, labels=["x", "y"]), dataset, tmp_path / "v1", limits=EASY, say=quiet)


def test_a_version_never_changes(checkpoint: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    with pytest.raises(
        WriteError, match="is there already, and a version never changes; choose another with --version"
    ):
        build(checkpoint, dataset, tmp_path / "v1", limits=EASY, say=quiet)


def test_nothing_is_left_of_a_write_that_was_broken_off(tmp_path: Path) -> None:
    def interrupted() -> None:
        with staged(tmp_path / "v1") as folder:
            (folder / "model.onnx").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_refused_and_nothing_is_left(checkpoint_file: Path, dataset: Dataset, tmp_path: Path) -> None:
    """On a real file system of 4 MiB, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=4m none {disk} && "
        f"{sys.executable} -m export build --checkpoint {checkpoint_file} --data {dataset.path} --out {disk}; "
        f"echo exit=$? left=$(ls -A {disk})"
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=300
    )
    assert "exit=1 left=\n" in done.stdout, done.stderr
    assert "No space left on device; make room and run the command again" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 4000)
    probability = generator.uniform(0.5, 1.0, 4000)
    right = generator.uniform(size=4000) < probability
    logit = np.log(probability / (1 - probability)) * np.where(right == (truth == 1), 1, -1)
    logits = np.stack([np.zeros(4000), logit * 3], axis=1).astype(np.float32)
    assert fit_temperature(logits, truth) == pytest.approx(3.0, abs=0.25)


@pytest.mark.parametrize("scale", [1, 15])
def test_photos_without_a_mistake_do_not_ask_for_more_confidence_than_they_justify(scale: float) -> None:
    truth = np.arange(80) % 2
    logits = np.eye(2, dtype=np.float32)[truth] * scale
    temperature = fit_temperature(logits, truth)
    confidence = 1 / (1 + np.exp(-scale / temperature))
    assert confidence == pytest.approx(41 / 42, abs=1e-3)  # forty photos of each class, and one that was not seen


def test_the_threshold_is_the_lowest_that_keeps_the_precision() -> None:
    sure = np.array([0.99, 0.95, 0.9, 0.8, 0.7, 0.6])
    probabilities = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    truth = np.array([0, 0, 0, 0, 1, 0])
    assert abstain_threshold(probabilities, truth, 1.0) == pytest.approx(0.8, abs=1e-3)
    assert abstain_threshold(probabilities, truth, 0.8) == pytest.approx(0.6, abs=1e-3)
    assert abstain_threshold(probabilities, 1 - truth[:1].repeat(6), 0.99) == 1.0


def test_the_command_says_what_it_made_and_what_comes_next(
    checkpoint_file: Path, dataset: Dataset, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "export",
        "build",
        "--checkpoint",
        str(checkpoint_file),
        "--data",
        str(dataset.path),
    ]
    done = subprocess.run(
        [*command, "--out", str(tmp_path), "--version", "v9", "--min-accuracy", "0.5"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"next: make run BUNDLE={tmp_path / 'v9'}" in done.stdout
    assert done.stderr == ""
    assert Bundle.open(tmp_path / "v9").manifest.version == "v9"
