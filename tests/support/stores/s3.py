"""A real S3 server (SeaweedFS, from its package) in a temporary folder; it can be killed and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.store import S3Settings, Store, open_store
from tests.support.appliances.servers import free_ports

START_S = 60
STARTS = 3  # of a server whose ports others take first
PORT_TAKEN = ("Port allocation failed", "address already in use")
ACCESS_KEY, SECRET_KEY = "tester", "a-secret-of-the-tests"
SERVICES = ("master", "volume", "filer", "s3", "admin")


@dataclass
class S3Server:
    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def settings(self) -> S3Settings:
        return S3Settings(self.endpoint, ACCESS_KEY, SECRET_KEY)

    @property
    def environment(self) -> dict[str, str]:
        return {"MINIO_ENDPOINT": self.endpoint, "MINIO_ACCESS_KEY": ACCESS_KEY, "MINIO_SECRET_KEY": SECRET_KEY}

    def open(self, uri: str) -> Store:
        return open_store(uri, self.settings)

    def new_bucket(self, name: str) -> Store:
        store = self.open(f"s3://{name}")
        store.create()
        return store

    def start(self) -> None:
        arguments = [
            f"-{service}.port{kind}={self.ports[service + kind]}" for service in SERVICES for kind in ("", ".grpc")
        ]
        command = [_weed(), "mini", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *arguments]
        command += ["-master.telemetry=false", "-webdav=false"]
        command += ["-volume.max=10000"]  # each bucket takes one; else as many as there are free gigabytes on the disk
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # else two servers at once would want the same ports
        command += ["-s3.iam.readOnly=false"]  # users can be made, as in MinIO
        environment = os.environ | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        self._wait_until_ready()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def _wait_until_ready(self) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}),
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process and self.process.poll() is None:
            with suppress(BotoCoreError, ClientError):
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                client.get_object(Bucket="ready", Key="ready")
                return
            with suppress(BotoCoreError, ClientError):
                client.create_bucket(Bucket="ready")
            time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text()[-3000:])


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    server = _started(folder)
    try:
        yield server
    finally:
        server.kill()


def _started(folder: Path, starts: int = STARTS) -> S3Server:
    """A server on free ports; on others if another process takes one of them before it does."""
    names = [service + kind for service in SERVICES for kind in ("", ".grpc")]
    server = S3Server(folder, dict(zip(names, free_ports(len(names)), strict=True)))
    try:
        server.start()
    except AssertionError as error:
        server.kill()
        if starts == 1 or not any(words in str(error) for words in PORT_TAKEN):
            raise
        (folder / "server.log").unlink()
        return _started(folder, starts - 1)
    return server


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed") or "weed"
