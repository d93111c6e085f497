"""The appliance's container as it is lived with: under its limits, with the page open, and watched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.deploy.engine import PACKAGES, ROOT, Engine
from tests.support.photos import photo
from tests.support.suite.system_packages import needs, needs_root
from tests.support.waiting import wait_until
from tests.ui.browser.visitor import PATHS, launch, visitor

sys.path.insert(0, str(ROOT / "deploy"))
import image_test

pytestmark = [needs(*PACKAGES), needs_root, pytest.mark.timeout(1800)]  # the first builds the image

MEMORY_BYTES = 256 * 2**20
VISITORS = 3


@dataclass
class Container:
    engine: Engine
    name: str
    url: str

    def inspect(self, what: str) -> Any:
        return json.loads(self.engine.docker("inspect", "--format", f"{{{{json {what}}}}}", self.name))

    def python(self, program: str) -> str:
        return self.engine.docker("exec", self.name, "python", "-c", program)


@pytest.fixture(scope="module")
def container(engine: Engine, image: str) -> Iterator[Container]:
    """Under the limits that are promised, on a network that leads to this host and nowhere else."""
    name = network = f"dandelion-lived-with-{uuid.uuid4().hex[:6]}"
    limits = [limit for limit in image_test.LIMITS if not limit.startswith("--network")]
    engine.docker("network", "create", "--internal", network)
    try:
        engine.docker("run", "--detach", "--name", name, "--network", network, "--cpus=1", *limits, image)
        found = Container(engine, name, "")
        address = found.inspect(f'(index .NetworkSettings.Networks "{network}").IPAddress')
        found.url = f"http://{address}:8000"
        wait_until(lambda: httpx.get(f"{found.url}/health/ready").is_success, "it is ready")
        yield found
    finally:
        engine.docker("rm", "--force", "--volumes", name, check=False)
        engine.docker("network", "rm", network)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_it_takes_every_format_that_the_readme_names(format: str, container: Container) -> None:
    answer = httpx.post(container.url + "/predict", files={"file": photo(format=format)}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["label"] in {"dandelion", "grass"}


@needs("strace", "chromium")
def test_it_lives_in_256_mb_on_one_cpu_with_pages_open_and_asks_nobody(
    container: Container, browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "meadow.jpg"
    file.write_bytes(photo(size=(4000, 3000)))
    with watching(container, tmp_path / "trace"):
        for _ in range(VISITORS):
            with visitor(browser, container.url) as guest:
                for path in PATHS:
                    guest.open(path)
                page = guest.open("/")
                page.set_input_files("input[multiple]", file)
                page.wait_for_selector(".card.done")
                for path in ("/docs", "/docs/openapi.json", "/metrics", "/model"):
                    httpx.get(container.url + path, timeout=60).raise_for_status()
    asked = re.findall(r".*sa_family=AF_INET6?,.*", (tmp_path / "trace").read_text())
    assert asked == []
    packets = container.python(image_test.PROBE.read_text().split("if __name__")[0] + "\nprint(unroutable_packets())")
    assert packets.strip() == "0"
    assert container.inspect(".State")["OOMKilled"] is False
    assert container.inspect(".RestartCount") == 0
    assert container.inspect(".HostConfig.Memory") == MEMORY_BYTES


@contextmanager
def watching(container: Container, trace: Path) -> Iterator[None]:
    """Every attempt to reach somebody, by any thread of the container's process, is written into `trace`."""
    pid = str(container.inspect(".State.Pid"))
    process = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=connect", "-o", str(trace), "-p", pid])
    try:
        wait_until(lambda: "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text(), "strace watches")
        yield
        assert process.poll() is None, "strace ended before its time"
    finally:
        process.terminate()
        process.wait(30)
