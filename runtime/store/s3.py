"""A store in an S3 bucket, of any server that speaks the protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.store.interface import ANY, Conflict, Entry, Missing, Replaces, S3Settings, StoreError

CONNECT_S, READ_S, ATTEMPTS = 3, 20, 2  # an appliance says soon that the store is away, and looks again later

_MISSING = {"404", "NoSuchKey", "NotFound"}
_LOST = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_REMEDIES = {
    "NoSuchBucket": "create it (python -m runtime store init)",
    "InvalidAccessKeyId": "check MINIO_ACCESS_KEY",
    "SignatureDoesNotMatch": "check MINIO_SECRET_KEY",
    "AccessDenied": "check MINIO_ACCESS_KEY and MINIO_SECRET_KEY, and what they may do",
    "403": "check MINIO_ACCESS_KEY and MINIO_SECRET_KEY, and what they may do",
}


class S3Store:
    """Keys below a prefix of one bucket."""

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        """Nothing is asked of the server yet."""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = f"{self.uri} at {settings.endpoint or 'AWS'}"
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            # Servers older than these checksums store them as part of the object.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if settings.endpoint else "auto"},
        )
        try:
            self._client: Any = boto3.session.Session().client(
                "s3",
                endpoint_url=settings.endpoint,
                aws_access_key_id=settings.access_key,
                aws_secret_access_key=settings.secret_key,
                region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
                config=config,
            )
        except (BotoCoreError, ValueError) as error:  # one key of two, an endpoint that is no address
            remedy = "check MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY"
            raise StoreError(f"{self._where}: {error}; {remedy}") from error

    def read(self, key: str) -> tuple[bytes, str]:
        """See Store."""
        with self._refusals(key):
            answer = self._client.get_object(**self._at(key))
            return answer["Body"].read(), answer["ETag"]

    def download(self, key: str, file: Path) -> None:
        """See Store."""
        with self._refusals(key):
            self._client.download_file(self._bucket, self._prefix + key, str(file))  # boto3 renames at the end

    def write(self, key: str, data: bytes, *, replaces: Replaces = ANY) -> str:
        """See Store."""
        condition = {} if replaces is ANY else {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        with self._refusals(key):
            tag: str = self._client.put_object(**self._at(key), Body=data, **condition)["ETag"]
        return tag

    def upload(self, key: str, file: Path) -> None:
        """See Store."""
        with self._refusals(key):
            self._client.upload_file(str(file), self._bucket, self._prefix + key)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Store."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with self._refusals(prefix):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield Entry(item["Key"].removeprefix(self._prefix), item["Size"])

    def delete(self, key: str) -> None:
        """See Store."""
        with self._refusals(key):
            self._client.delete_object(**self._at(key))

    def create(self) -> bool:
        """See Store."""
        with self._refusals(""):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
                    raise
                self._client.create_bucket(Bucket=self._bucket)
                return True
        return False

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    @contextmanager
    def _refusals(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise Missing(f"{self.uri}/{key}: is not there") from error
            if code in _LOST:
                raise Conflict(
                    f"{self.uri}/{key}: somebody else has written it meanwhile; look at it and try again"
                ) from error
            remedy = _REMEDIES.get(code, "look at the server's log")
            raise StoreError(f"{self._where}: the server refused ({code}); {remedy}") from error
        except (BotoCoreError, S3UploadFailedError) as error:
            raise StoreError(f"{self._where}: {error}; check MINIO_ENDPOINT and the network") from error
