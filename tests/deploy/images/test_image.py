"""The appliance image, built and run by a real engine under its promised limits."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.engine import PACKAGES, ROOT, Engine
from tests.support.suite.system_packages import needs, needs_root

sys.path.insert(0, str(ROOT / "deploy"))
import image_test

DOCKERFILES = sorted((ROOT / "deploy").glob("*/Dockerfile"))
LOCKS = sorted((ROOT / "deploy").glob("*/*.lock"))
APPLIANCE = ROOT / "deploy" / "appliance"
BASE = "dandelion-base:trixie"

pytestmark = pytest.mark.timeout(1800)  # the first builds the image


@needs(*PACKAGES)
@needs_root
def test_it_answers_for_a_photo_without_network_in_256_mb_on_one_cpu(image: str) -> None:
    found = image_test.try_image(image)
    assert image_test.judge(found, "dandelion") == []
    assert found["peak_bytes"] is None or found["peak_bytes"] < 256_000_000
    assert image_test.judge_largest(found["largest"]) == []


def test_an_appliance_that_the_largest_photos_kill_is_told() -> None:
    def seen(statuses: dict[str, int], retry_after: int, *, killed: bool = False) -> list[str]:
        photo = {"side": 9, "statuses": statuses, "retry_after": retry_after, "others": []}
        return image_test.judge_largest({"photos": {"PNG": photo}, "killed": killed})

    assert seen({"200": 1, "503": 15}, 15) == []
    assert "a 503 without Retry-After" in seen({"200": 1, "503": 15}, 14)[0]
    assert "none of 16 was answered" in seen({"503": 16}, 16)[0]
    assert "PNG of 9 px a side" in seen({"200": 15, "0": 1}, 0)[0]
    assert seen({"200": 16}, 0, killed=True) == ["the largest photos killed it"]


@needs(*PACKAGES)
@needs_root
def test_a_wrong_answer_is_told(image: str) -> None:
    found = image_test.try_image(image)
    assert "expected grass" in image_test.judge(found, "grass")[0]


@needs(*PACKAGES)
@needs_root
def test_it_adds_no_more_to_its_base_than_promised(image: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "deploy/image_size.py", image, BASE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = subprocess.run(
        [sys.executable, ROOT / "deploy/image_size.py", image, BASE, "--most-mb", "10"], capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "too large" in refused.stderr


@needs(*PACKAGES)
@needs_root
def test_it_runs_as_nobody_special_and_can_change_nothing_but_its_state(engine: Engine, image: str) -> None:
    def inside(command: str) -> str:
        return engine.docker(
            "run",
            "--rm",
            "--network=none",
            "--read-only",
            "--entrypoint=sh",
            image,
            "-c",
            f"{command} 2>&1",
            check=False,
        )

    assert inside("id -u; id -g").split() == ["10001", "10001"]
    assert "Read-only" in inside("touch /opt/dandelion/x")
    assert inside("touch /var/lib/dandelion/x && echo written").strip() == "written"
    assert inside("find / -xdev -perm -4000 -newer /opt/dandelion/health.py -type f | head").strip() == ""


@needs(*PACKAGES)
@needs_root
def test_what_the_runtime_may_import_survived_the_pruning(engine: Engine, image: str) -> None:
    program = (
        "import boto3, nacl.signing, nicegui, litestar.openapi, onnxruntime, PIL.Image\n"
        "from nicegui import ui\n"
        "boto3.client('s3', region_name='x'); boto3.client('sts', region_name='us-east-1')\n"
        "PIL.Image.init(); assert {'JPEG', 'PNG', 'WEBP'} <= set(PIL.Image.OPEN)\n"
        "print('all there')"
    )
    said = engine.docker("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", program)
    assert said.strip() == "all there"


@needs(*PACKAGES)
@needs_root
def test_its_labels_name_the_version_and_the_commit(engine: Engine, image: str) -> None:
    labels = json.loads(engine.docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert labels["org.opencontainers.image.version"] == version()
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["org.opencontainers.image.revision"])


@needs(*PACKAGES)
@needs_root
def test_a_server_that_is_not_ready_is_unhealthy(engine: Engine, image: str) -> None:
    said = engine.docker(
        "run", "--rm", "--network=none", "--entrypoint=sh", image, "-c",
        "python -ISB /opt/dandelion/health.py 2>&1; echo $?", check=False,
    )  # fmt: skip
    assert said.split()[-1] == "1"
    assert "not ready" in said


def version() -> str:
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_every_base_is_pinned_by_digest_and_replaceable(file: Path) -> None:
    text = file.read_text()
    assert re.search(r"^ARG BASE_IMAGE=\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE_IMAGE}"}
    assert re.search(r"^USER 10001:\d+$", text, re.MULTILINE)
    assert f"ARG VERSION={version()}" in text


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_locked_package_has_a_hash_and_no_index_is_named(file: Path) -> None:
    text = file.read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line.strip()]
    assert all("--hash=sha256:" in line for line in lines)
    assert "://" not in text


def test_the_lock_of_the_appliance_satisfies_what_pyproject_asks_for() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base, onnxruntime = (
        dict(re.findall(r"^([\w.-]+)==([\w.]+)", (APPLIANCE / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "onnxruntime.lock")
    )
    assert not base.keys() & onnxruntime.keys()
    extras = project["optional-dependencies"]
    for texts, locked in ((project["dependencies"] + extras["ui"], base), (extras["onnxruntime"], onnxruntime)):
        for wanted in map(Requirement, texts):
            assert wanted.name in locked, f"{wanted.name} is not locked: make lock"
            pinned = locked[wanted.name]
            assert wanted.specifier.contains(pinned), f"{wanted} is locked at {pinned}: make lock"


def test_no_page_uses_an_element_whose_library_is_pruned() -> None:
    tree = ast.parse((ROOT / "deploy/appliance/prune.py").read_text())
    (unused,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "UNUSED_ELEMENTS"
    )
    names = {*unused, "add_sass", "add_scss"}
    for file in (ROOT / "ui").rglob("*.py"):
        used = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert not used & names, f"{file} uses {used & names}, which deploy/appliance/prune.py leaves out"
