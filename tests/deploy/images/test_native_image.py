"""The appliance image of the flavour `native`: smaller, without onnxruntime, and as good where the kernel serves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.native.library import library
from tests.deploy.engine import PACKAGES, ROOT, Engine, build_environment
from tests.support.models.bundles import write_bundle
from tests.support.suite.system_packages import needs, needs_root

sys.path.insert(0, str(ROOT / "deploy"))
import image_test

BASE = "dandelion-base:trixie"
MOST_MB, MOST_COMPRESSED_MB = 140, 60
serves = pytest.mark.skipif(library() is None, reason="needs a processor that the native kernel serves on")

pytestmark = [needs(*PACKAGES), needs_root, pytest.mark.timeout(1800)]  # the first builds the image


@serves
def test_it_answers_for_a_photo_without_network_in_256_mb_on_one_cpu(native_image: str) -> None:
    found = image_test.try_image(native_image)
    assert image_test.judge(found, "dandelion") == []
    assert found["peak_bytes"] is None or found["peak_bytes"] < 256_000_000
    assert image_test.judge_largest(found["largest"]) == []


@serves
def test_the_native_kernel_serves_in_it(engine: Engine, native_image: str) -> None:
    found = library()
    assert found
    said = engine.docker("run", "--rm", "--network=none", native_image, "runtime", "check")
    assert f"INT8 ({found.instructions} kernel)" in said


def test_it_has_no_onnxruntime_and_what_else_the_runtime_may_import(engine: Engine, native_image: str) -> None:
    program = (
        "import boto3, nacl.signing, nicegui, litestar.openapi, PIL.Image, PIL.ImageDraw, rich.traceback\n"
        "from importlib.util import find_spec\n"
        "from nicegui import ui\n"
        "boto3.client('s3', region_name='x'); boto3.client('sts', region_name='us-east-1')\n"
        "PIL.Image.init(); assert {'JPEG', 'PNG', 'WEBP', 'AVIF'} <= set(PIL.Image.OPEN)\n"
        "print(*(name for name in ('onnxruntime', 'google', 'flatbuffers', 'numpy') if find_spec(name)))"
    )
    said = engine.docker("run", "--rm", "--network=none", "--entrypoint=python", native_image, "-c", program)
    assert said.strip() == "numpy"


def test_a_bundle_of_another_graph_is_refused_in_one_line(engine: Engine, native_image: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1")
    for path in (tmp_path, bundle, *bundle.iterdir()):
        path.chmod(0o755)  # for the image's own user
    said = engine.docker(
        "run", "--rm", "--network=none", f"--volume={bundle}:/v1:ro", "--entrypoint=sh", native_image,
        "-c", "python -m runtime check /v1 2>&1", check=False,
    )  # fmt: skip
    assert re.fullmatch(r"Error: /v1: needs onnxruntime, .*; pip install [^\n]*, or take the image that has it\n", said)


def test_it_adds_no_more_to_its_base_than_promised(native_image: str) -> None:
    limits = ("--most-mb", str(MOST_MB), "--most-compressed-mb", str(MOST_COMPRESSED_MB))
    command = [sys.executable, ROOT / "deploy/image_size.py", native_image, BASE, *limits]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = ["make", "--dry-run", "image-size", "FLAVOUR=native", f"BASE_IMAGE={BASE}"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert " ".join(limits) in said


def test_its_label_says_which_flavour_it_is(engine: Engine, native_image: str) -> None:
    said = engine.docker("image", "inspect", "--format", '{{index .Config.Labels "dandelion.flavour"}}', native_image)
    assert said.strip() == "native"


@pytest.mark.usefixtures("engine")
def test_an_unknown_flavour_is_refused() -> None:
    settings = build_environment() | {"FLAVOUR": "tiny", "IMAGE": "dandelion:tiny"}
    done = subprocess.run(
        ["deploy/image.sh", "appliance"], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "FLAVOUR is tiny; it is standard or native" in done.stdout + done.stderr
