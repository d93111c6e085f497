"""Every image that is not built from this repository is pinned by digest, wherever it is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
OWN = re.compile(r"dandelion(-airflow|-mlflow)?:\d+\.\d+\.\d+")
PINNED = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def of_compose() -> Iterator[str]:
    for service in yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values():
        yield re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", service["image"])


def of_kubernetes() -> Iterator[str]:
    for file in ROOT.glob("deploy/k8s/overlays/*/kustomization.yaml"):
        for image in yaml.safe_load(file.read_text())["images"]:
            digest = f"@{image['digest']}" if "digest" in image else ""
            yield f"{image['newName']}:{image['newTag']}{digest}"


def of_dockerfiles() -> Iterator[str]:
    for file in ROOT.glob("deploy/*/Dockerfile"):
        arguments = re.findall(r"^ARG (\w+)=(\S+)$", file.read_text(), re.MULTILINE)
        stages = re.findall(r"^FROM \S+ AS (\w+)", file.read_text(), re.MULTILINE)
        for name in re.findall(r"^(?:FROM|COPY --from=) ?(\S+)", file.read_text(), re.MULTILINE):
            if name not in stages:
                yield reduce(lambda text, pair: text.replace(f"${{{pair[0]}}}", pair[1]), arguments, name)


def of_workflows() -> Iterator[str]:
    for file in ROOT.glob(".github/workflows/*.yml"):
        yield from named(yaml.safe_load(file.read_text()))


def named(workflow: Any) -> Iterator[str]:
    """The images that jobs run in, or beside, and actions that are images."""
    if isinstance(workflow, list):
        for inner in workflow:
            yield from named(inner)
    elif isinstance(workflow, dict):
        for key, inner in workflow.items():
            if key in {"container", "image"} and isinstance(inner, str):
                yield inner
            elif key == "uses" and str(inner).startswith("docker://"):
                yield inner.removeprefix("docker://")
            yield from named(inner)


def test_the_images_of_a_workflow_are_found() -> None:
    service = {"services": {"db": {"image": "a:1"}}, "container": "b:2", "steps": [{"uses": "docker://c:3"}]}
    job = {"container": {"image": "d:4"}, "strategy": {"matrix": {"image": ["appliance"]}}}
    assert list(named({"jobs": {"one": service, "two": job}})) == ["a:1", "b:2", "c:3", "d:4"]


@pytest.mark.parametrize("images", [of_compose, of_kubernetes, of_dockerfiles, of_workflows])
def test_every_foreign_image_is_pinned_by_digest(images: Any) -> None:
    assert [image for image in images() if not OWN.fullmatch(image) and not PINNED.fullmatch(image)] == []


def test_what_the_cluster_runs_has_its_image_named_in_an_overlay() -> None:
    """Else kustomize leaves the bare name of the base, and a registry decides what that is."""
    named = {
        image["name"]
        for file in ROOT.glob("deploy/k8s/overlays/*/kustomization.yaml")
        for image in yaml.safe_load(file.read_text())["images"]
    }
    used = {
        name
        for file in ROOT.glob("deploy/k8s/base/*.yaml")
        for name in re.findall(r"^\s+(?:- )?image: (\S+)", file.read_text(), re.MULTILINE)
    }
    assert used == named
