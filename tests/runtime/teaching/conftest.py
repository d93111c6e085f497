"""A backbone in miniature for all tests, and a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.host.photo_limits import DEFAULT_LIMITS
from runtime.teaching.backbone import Backbone
from runtime.teaching.extraction import Extraction
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.workspace import Workspace
from tests.support.models.backbones import VERSION, write_backbone


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("backbones") / VERSION)


@pytest.fixture(scope="session")
def backbone(backbone_folder: Path) -> Backbone:
    return Backbone.open(backbone_folder)


@pytest.fixture
def extraction(backbone: Backbone) -> Extraction:
    return Extraction(lambda: backbone, DEFAULT_LIMITS, threads=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "teaching", Bounds())
    yield workspace
    workspace.close()


@pytest.fixture
def dataset(workspace: Workspace) -> str:
    dataset = workspace.datasets.create("meadow")
    for label in ("dandelion", "grass"):
        workspace.datasets.add_class(dataset, label)
    return dataset
