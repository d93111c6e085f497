"""What an appliance does not need: a writable disk, a privileged user, or anybody outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.support.appliances.servers import free_port
from tests.support.photos import photo
from tests.support.suite.system_packages import needs, needs_root

START_S = 60
ROOT = Path(__file__).parents[3]


@contextmanager
def started(command: list[str], port: int, log: Path) -> Iterator[str]:
    """A server started by `command`, ready at the URL."""
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, cwd=ROOT, text=True, start_new_session=True)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    try:
        while True:
            try:
                if httpx.get(url + "/health/ready").is_success:
                    break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with whatever started it
        process.wait()


def serve(port: int) -> list[str]:
    return [sys.executable, "-m", "runtime", "--host", "127.0.0.1", "--port", str(port)]


@needs_root
def test_a_read_only_disk_and_an_unprivileged_user_are_enough(tmp_path: Path):
    """No folder may be written to, not even a temporary one: what cannot be kept is said in one line."""
    port, log = free_port(), tmp_path / "log"
    unprivileged = "exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all"
    # What it needs, elsewhere: the checkout may be a folder that nobody else may enter.
    folders = {Path(sys.prefix): "/mnt/appliance/environment", ROOT / "runtime": "/mnt/appliance/runtime"}
    binds = [
        f"mkdir -p {to} && mount --bind {what} {to} && mount -o remount,bind,ro {to}" for what, to in folders.items()
    ]
    scratch = "mount -o remount,bind,ro / && mount -t tmpfs tmpfs /mnt && export TMPDIR=/mnt DANDELION_CACHE=/mnt/cache"
    command = " ".join(serve(port)).replace(sys.executable, f"{folders[Path(sys.prefix)]}/bin/python")
    checkout = " && ".join([*binds, "mount -o remount,ro /mnt && cd /mnt/appliance"])
    inside = f"{scratch} && {checkout} && {unprivileged} {command}"
    long = photo() + bytes(3 * 2**20)
    with started(["unshare", "--mount", "sh", "-c", inside], port, log) as url:
        whole = httpx.post(url + "/predict", files={"file": long})
        answer = httpx.post(url + "/predict", files={"file": photo()})
        batch = httpx.post(url + "/predict/batch", files=[("files", photo(seed=seed)) for seed in range(20)])
        part = httpx.post(url + "/predict/batch", files=[("files", photo()), ("files", long)])
    assert [each.status_code for each in (whole, answer, batch, part)] == [200] * 4
    said = [line for line in log.read_text().splitlines() if " level=INFO " not in line]
    assert len(said) == 1, said
    assert re.search(r"level=WARNING .*/mnt/cache cannot be written to: no new version, taught model or corr", said[0])


@needs("strace")
def test_it_asks_nobody_outside(tmp_path: Path):
    port, trace = free_port(), tmp_path / "trace"
    watch = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace)]
    with started(watch + serve(port), port, tmp_path / "log") as url:
        httpx.post(url + "/predict", files={"file": photo()})
        httpx.post(url + "/explain", files={"file": photo()}, headers={"accept": "image/png"})
        for path in ("/docs", "/metrics", "/models", "/model", "/v2"):
            httpx.get(url + path)
    asked = re.findall(r"(?:connect|sendto|sendmsg)\(.*sa_family=AF_INET6?.*", trace.read_text())
    assert asked == []
