"""The GitHub workflows as data: pinned, least privileged, and running the commands that people run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
every_workflow = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]
    return found


@every_workflow
def test_every_action_is_pinned_by_commit_and_says_its_version(file: Path) -> None:
    for line in file.read_text().splitlines():
        if "uses:" in line and "./.github" not in line:
            assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_an_action_has_one_version_everywhere() -> None:
    pins = set(re.findall(r"uses: (\S+@\S+)", "".join(file.read_text() for file in FILES)))
    names = [pin.split("@")[0] for pin in pins]
    assert len(names) == len(set(names)), sorted(pins)


@every_workflow
def test_a_job_is_bounded_in_time_and_starts_from_no_permission(file: Path) -> None:
    text = yaml.safe_load(file.read_text())
    assert text["permissions"] in ({}, {"contents": "read"})
    assert text["concurrency"]["group"]
    for job in jobs(file).values():
        assert "uses" in job or job["timeout-minutes"] <= 120


def test_nothing_is_published_before_the_tests_and_nothing_deployed_before_it_is_published() -> None:
    found = jobs(ROOT / ".github/workflows/images.yml")
    assert found["test"]["uses"] == "./.github/workflows/tests.yml"
    assert [found[name].get("needs") for name in ("build", "publish", "minikube")] == ["test", "build", "publish"]


def test_a_release_is_made_of_a_tag_alone_whose_name_is_the_version_and_after_all_else() -> None:
    found = jobs(ROOT / ".github/workflows/images.yml")
    assert found["release"]["if"] == "github.ref_type == 'tag'"
    assert found["release"]["needs"] == ["publish", "minikube"]
    assert found["test"]["needs"] == "version"
    assert any("deploy/release-notes.sh" in str(step.get("run")) for step in found["version"]["steps"])


def test_both_architectures_are_built_on_machines_of_their_own() -> None:
    matrix = jobs(ROOT / ".github/workflows/images.yml")["build"]["strategy"]["matrix"]
    assert matrix["platform"] == [
        {"architecture": "amd64", "runner": "ubuntu-24.04"},
        {"architecture": "arm64", "runner": "ubuntu-24.04-arm"},
    ]
    assert {f"deploy/{image.removesuffix('-native')}/Dockerfile" for image in matrix["image"]} == {
        str(file.relative_to(ROOT)) for file in (ROOT / "deploy").glob("*/Dockerfile")
    }


@every_workflow
def test_every_make_target_that_is_run_exists(file: Path) -> None:
    makefiles = (ROOT / "Makefile").read_text() + (ROOT / "deploy/targets.mk").read_text()
    targets = [
        target
        for job in jobs(file).values()
        for step in job.get("steps", [])
        for line in str(step.get("run", "")).splitlines()
        if line.startswith("make ")
        for target in line.split()[1:]
        if not target.startswith(".")
    ]
    for target in targets:
        assert re.search(rf"^{target}:", makefiles, re.MULTILINE), target
