from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.engine import Engine, build, this_engine
from tests.support.suite.turns import containers_come_and_go, folder_of_all_workers


@pytest.fixture(scope="package", autouse=True)
def before_browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with containers_come_and_go(folder_of_all_workers(tmp_path_factory)):
        yield


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with this_engine(tmp_path_factory.mktemp("dockerd")) as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The appliance image of this work tree."""
    return build("appliance", "dandelion:under-test")


@pytest.fixture(scope="session")
def native_image(engine: Engine) -> str:
    """The appliance image without onnxruntime."""
    return build("appliance", "dandelion:native-under-test", "native")


@pytest.fixture(scope="session")
def mlflow_image(engine: Engine) -> str:
    return build("mlflow", "dandelion-mlflow:under-test")


@pytest.fixture(scope="session")
def airflow_image(engine: Engine) -> str:
    return build("airflow", "dandelion-airflow:under-test")
