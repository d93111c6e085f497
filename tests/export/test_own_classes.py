"""Somebody's own classes, from folders to a model that was retrained with corrections, by the commands of the README.

OWN_CLASSES=3,10,50 walks with as many; ten by default.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.contenders.drawn_flowers import draw_flower
from tests.support.appliances.servers import free_port
from tests.support.waiting import wait_until
from training.model.torchvision_models import models

ROOT = Path(__file__).parents[2]
CLASSES = [int(count) for count in os.environ.get("OWN_CLASSES", "10").split(",")]
EACH = 12  # photos a class
OURS = ("MAKELEVEL", "MAKEFLAGS", "MFLAGS", "DANDELION_PHOTOS")
# The names of metrics, variables, buckets and their folders stay.
STAYS = re.compile(r"dandelion(?:[-_]|(?=[A-Z]))\w+|DANDELION_\w+")
FORBIDDEN = re.compile(r"dandelion|grass|meadow", re.IGNORECASE)


def weights() -> Path:
    import torch

    url = models().ResNet18_Weights.IMAGENET1K_V1.url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


pytestmark = pytest.mark.skipif(not weights().is_file(), reason="the ImageNet weights are not there (TORCH_HOME)")


class Clone:
    """What a clone of the project is to make and to whoever types, with this Python for its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for entry in ROOT.iterdir():
            if entry.name not in {"var", ".venv", ".git"}:
                (folder / entry.name).symlink_to(entry)
        python = folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        for stamp in (".serving", ".training"):
            (folder / ".venv" / stamp).touch()
        self.environment = {name: value for name, value in os.environ.items() if name not in OURS}

    def run(self, *command: str) -> str:
        """What a command says in the end; what it calls the product is nobody else's."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert not FORBIDDEN.search(STAYS.sub("", said)), said
        return said

    @contextmanager
    def serving(self, bundle: str) -> Iterator[str]:
        port = free_port()
        command = ["make", "run", f"BUNDLE={bundle}", f"PORT={port}"]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: httpx.get(f"{url}/health/ready").is_success, "it is ready")
            yield url
        finally:
            os.killpg(process.pid, 15)
            process.communicate()


def made(said: str) -> str:
    """The bundle that `make train` says how to serve."""
    return re.findall(r"make run BUNDLE=(\S+)", said)[-1]


@pytest.mark.parametrize("classes", CLASSES)
def test_folders_become_a_model_that_learns_from_corrections(classes: int, tmp_path: Path) -> None:
    labels = [f"Species {kind:02}" for kind in range(classes)]
    source = tmp_path / "my photos"
    for kind, label in enumerate(labels):
        (source / label).mkdir(parents=True)
        for seed in range(EACH):
            (source / label / f"{seed}.jpg").write_bytes(draw_flower(kind, seed))
    (tmp_path / "clone").mkdir()
    clone = Clone(tmp_path / "clone")
    train = ("make", "train", f"SOURCE={source}", "PRODUCT=flora", "IMAGE_SIZE=64", "EPOCHS=2")
    bundle = made(clone.run(*train))
    with clone.serving(bundle) as url:
        (tmp_path / "new.jpg").write_bytes(draw_flower(1, EACH))
        curl = ("curl", "--silent", "--show-error", "--fail", "-F", f"file=@{tmp_path / 'new.jpg'}")
        answer = json.loads(clone.run(*curl, f"{url}/predict"))
        assert list(answer["probabilities"]) == labels
        assert answer["model"]["name"] == "flora"
        for page in ("/", "/model", "/v2/models/flora", "/docs/openapi.json"):
            found = httpx.get(url + page, follow_redirects=True)
            assert found.is_success, page
            assert not FORBIDDEN.search(STAYS.sub("", found.text)), page
        sent = json.loads(clone.run(*curl, "-F", f"label={labels[1]}", f"{url}/feedback"))
    clone.run(".venv/bin/python", "-m", "training", "feedback", "page", "--data", "var/store/dandelion-data")
    name = sent["id"][:12]
    clone.run(".venv/bin/python", "-m", "training", "feedback", "accept", name)
    again = clone.run(*train)
    assert "accepted corrections in var/data/raw: 1" in again
    assert made(again) != bundle
    first, second = (json.loads((clone.folder / each / "manifest.json").read_text()) for each in (bundle, made(again)))
    assert photos(second) == photos(first) + 1
    with clone.serving(made(again)) as url:
        assert json.loads(clone.run(*curl, f"{url}/predict"))["model"]["version"] == second["version"]


def photos(manifest: dict[str, dict[str, int]]) -> int:
    return manifest["dataset"]["train_photos"] + manifest["dataset"]["validation_photos"]
