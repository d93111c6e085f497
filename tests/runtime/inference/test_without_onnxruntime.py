"""Without onnxruntime: the native kernel serves as ever, and what it cannot compute is refused with the remedy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import FP32_MODEL, Bundle, BundleError
from runtime.inference import backends
from runtime.inference.backends import NATIVE, Kernel, available_kernels, int8_kernels, open_backend, open_validated
from runtime.inference.optional import REQUIREMENT, onnxruntime_installed
from runtime.native.library import library
from runtime.registry.state import StateFile
from runtime.serving.trial.runner import TrialRunner
from runtime.teaching.backbone import Backbone
from tests.runtime.native.models import claiming, loads_prebuilt
from tests.support.appliances.servers import appliance
from tests.support.host.without_onnxruntime import without_onnxruntime
from tests.support.models.bundles import write_bundle, write_model
from tests.support.photos import photo

ROOT = Path(__file__).parents[3]
REMEDY = re.escape("pip install 'onnxruntime>=1.32,<2', or take the image that has it")


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process onnxruntime is not installed."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native kernel computes, whatever this processor is."""
    monkeypatch.setattr(backends, "library", lambda: claiming("vnni"))


def refusal_of(*arguments: str, **environment: str) -> str:
    """The one line with which a command ends."""
    ran = subprocess.run(
        [sys.executable, "-m", *arguments], env=os.environ | environment, cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr.strip().splitlines()[-1]


def test_an_appliance_without_onnxruntime_answers_for_a_photo(tmp_path: Path) -> None:
    blocked = without_onnxruntime(tmp_path / "blocked")
    found = library()
    if found is None:
        assert "since this host has no native kernel" in refusal_of("runtime", "check", **blocked)
        return
    with appliance(tmp_path, from_scratch=True, **blocked) as running:
        answer = httpx.post(running.url + "/predict", files={"file": photo()})
        assert answer.json()["label"] == "dandelion"
        assert httpx.get(running.url + "/model").json()["serving"]["kernel"] == found.instructions
        if sys.platform == "linux":
            assert "onnxruntime" not in Path(f"/proc/{running.process.pid}/maps").read_text()


@pytest.mark.usefixtures("missing")
def test_only_native_kernels_are_candidates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not onnxruntime_installed()
    write_model(write_bundle(tmp_path / "v1") / FP32_MODEL)
    monkeypatch.setattr(backends, "library", lambda: claiming("amx"))
    kernels = [kernel.kernel for kernel in available_kernels(Bundle.open(default_bundle()))]
    assert kernels[0] == "amx"
    assert set(kernels) <= NATIVE
    monkeypatch.setattr(backends, "library", lambda: None)
    assert int8_kernels() == []


@loads_prebuilt
@pytest.mark.usefixtures("missing", "native")
def test_the_native_kernel_is_validated_and_preferred_as_ever() -> None:
    bundle = Bundle.open(default_bundle())
    for preferred in (None, "vnni", "fast"):  # the last was validated while onnxruntime was installed
        assert open_validated(bundle, threads=1, preferred=preferred).kernel.kernel == "vnni"


@pytest.mark.usefixtures("missing", "native")
def test_another_graph_is_refused_with_the_reason_and_the_remedy(tmp_path: Path) -> None:
    bundle = Bundle.open(write_bundle(tmp_path / "v1"))
    reason = "the native kernel does not compute its graph (it does not begin with blocks of pixels)"
    with pytest.raises(BundleError, match=f"v1: needs onnxruntime.*since {re.escape(reason)}; {REMEDY}"):
        open_validated(bundle, threads=1)


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize(
    ("setting", "reason"), [("auto", "this host has no native kernel"), ("off", "DANDELION_NATIVE is off")]
)
def test_a_host_without_the_native_kernel_says_what_it_needs(
    setting: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "library", lambda: None)
    monkeypatch.setenv("DANDELION_NATIVE", setting)
    with pytest.raises(BundleError, match=f"needs onnxruntime, which is not installed, since {reason}; {REMEDY}"):
        open_validated(Bundle.open(default_bundle()), threads=1)
    with pytest.raises(BundleError, match=f"the backbone .*: needs onnxruntime.*, since {reason}; {REMEDY}"):
        Backbone.open().extractor(threads=1)


@loads_prebuilt
@pytest.mark.usefixtures("missing")
def test_wrong_answers_of_the_native_kernel_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = claiming("vnni")._replace(run=lambda job, pool: 0)  # computes nothing
    monkeypatch.setattr(backends, "library", lambda: broken)
    with pytest.raises(BundleError, match=rf"int8 \(vnni\) is off by .*; let onnxruntime compute it: {REMEDY}"):
        open_validated(Bundle.open(default_bundle()), threads=1)


@pytest.mark.usefixtures("missing")
def test_an_fp32_model_says_that_onnxruntime_alone_computes_it(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "v1")
    write_model(folder / FP32_MODEL)
    with pytest.raises(
        BundleError, match=rf"model\.onnx: needs .*since INT8 \(exact\) is computed by that alone; {REMEDY}"
    ):
        open_backend(Bundle.open(folder), Kernel("int8", "exact"), threads=1)


def test_the_trial_of_a_new_version_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in without_onnxruntime(tmp_path / "blocked").items():
        monkeypatch.setenv(name, value)
    trials = TrialRunner(StateFile(tmp_path / "state.json"), seconds=60, memory_bytes=None)
    with pytest.raises(BundleError, match=f"needs onnxruntime, which is not installed, since .*; {REMEDY}"):
        trials.validate(Bundle.open(write_bundle(tmp_path / "v1")))


def test_commands_end_with_the_remedy_in_one_line(tmp_path: Path) -> None:
    blocked = without_onnxruntime(tmp_path / "blocked")
    said = refusal_of("runtime", "check", str(write_bundle(tmp_path / "v1")), **blocked)
    assert re.fullmatch(f"Error: .*v1: needs onnxruntime.*; {REMEDY}", said)


@pytest.mark.training
def test_an_export_ends_with_the_extra_in_one_line(tmp_path: Path) -> None:
    blocked = without_onnxruntime(tmp_path / "blocked")
    told = refusal_of("export", "build", "--checkpoint", "none.pt", **blocked)
    assert re.fullmatch(r"Error: the package \w+ is not installed; in a checkout: pip install '\.\[export\]'", told)


def test_the_remedy_names_the_versions_that_the_extra_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["onnxruntime"] == [REQUIREMENT]
    assert not [needed for needed in project["dependencies"] if needed.startswith("onnxruntime")]
