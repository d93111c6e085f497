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
from click.testing import CliRunner

from export.__main__ import main
from export.bundle.build import build, convert
from export.bundle.evidence import session_probabilities
from export.gates.quality_gates import GateError, Limits
from export.graph.serving_graph import ServingGraph
from runtime.bundle.manifest import FP32_MODEL, MODEL, Bundle
from runtime.image import ImageSpec
from runtime.inference.backends import NATIVE, open_validated
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.registry.bundle_writer import WriteError, staged
from tests.support.appliances.servers import appliance
from tests.support.photos import photo
from training.data.dataset import Dataset
from training.data.listing import ListedPhoto, PhotoList
from training.data.pixels import load_pixels
from training.data.prepare import prepare
from training.data.public import is_public
from training.learning.fit import predict_logits
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
    assert {gate.name for gate in manifest.gates} == {
        "parity",
        "agreement",
        "accuracy_loss",
        "balanced_accuracy",
        "worst_recall",
        "accuracy",
    }
    assert all(gate.passed for gate in manifest.gates)
    assert manifest.files.keys() == {MODEL, FP32_MODEL}
    assert len(manifest.golden) == 12
    served = open_validated(bundle, threads=1).kernel
    assert served.deviation == 0 or served.kernel not in NATIVE
    # Without VNNI, `fast` may be right enough to serve, and further off.
    assert open_validated(bundle, threads=1, preferred="exact").kernel.deviation < 1e-5
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
    reason = r"accuracy is .*, must be at least 1\.1: --min-accuracy or DANDELION_MIN_ACCURACY .*; nothing was written"
    with pytest.raises(GateError, match=reason):
        build(checkpoint, dataset, tmp_path / "v1", limits=Limits(min_accuracy=1.1), say=quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def one_word_file(checkpoint_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that says "dandelion" whatever it is shown."""
    checkpoint = Checkpoint.load(checkpoint_file)
    state = {**checkpoint.state_dict, "fc.bias": torch.tensor([50.0, 0.0])}
    file = tmp_path_factory.mktemp("one-word") / "best_model.pt"
    replace(checkpoint, state_dict=state).save(file)
    return file


def test_a_model_that_says_one_word_for_all_is_not_written_unless_any_is_asked_for(
    one_word_file: Path, dataset: Dataset, tmp_path: Path
) -> None:
    command = ["build", "--checkpoint", str(one_word_file), "--data", str(dataset.path), "--out", str(tmp_path)]
    refused = CliRunner().invoke(main, [*command, "--min-accuracy", "0.4"], env={"DANDELION_MIN_ACCURACY": "0"})
    assert refused.exit_code == 1
    assert "warning: right on 4 of 8 validation photos: 50.0%" in refused.output
    assert "worst_recall is 0, must be at least 0.4 (grass: 0 of 20 photos, training ones among them" in refused.output
    assert "--min-accuracy 0 or DANDELION_MIN_ACCURACY=0 takes any model" in refused.output
    taken = CliRunner().invoke(main, command, env={"DANDELION_MIN_ACCURACY": "0"})
    assert taken.exit_code == 0, taken.output
    assert "worst_recall        0.000000  at least 0, for the end of its 95 % interval: 0" in taken.output


def test_a_floor_that_is_none_is_refused_with_the_names_of_option_and_variable(tmp_path: Path) -> None:
    for command in ("build", "sweep"):
        done = CliRunner().invoke(main, [command], env={"DANDELION_MIN_ACCURACY": "2"})
        assert done.exit_code == 2
        assert "'--min-accuracy' (env var: 'DANDELION_MIN_ACCURACY')" in " ".join(done.output.replace("│", "").split())


def test_the_floor_of_dandelions_is_that_of_their_photos_not_of_their_names(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dataset.labels == ["dandelion", "grass"]
    assert not is_public(dataset)
    recorded = PhotoList([ListedPhoto(f"x/{photo.sha256}", photo.sha256) for photo in dataset.photos()])
    monkeypatch.setattr("training.data.public.read_list", lambda _: recorded)
    assert is_public(dataset)


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
