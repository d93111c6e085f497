"""Object store in an S3 bucket, on AWS or any compatible server (MinIO, SeaweedFS); conditional writes by ETag."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from runtime.host.atomic import whole_file
from runtime.store.interface import (
    ANY,
    Conflict,
    Denied,
    Digest,
    Entry,
    Missing,
    Replaces,
    S3Settings,
    StoreError,
    TooLarge,
    checked_key,
    is_key,
)

CONNECT_S, READ_S, ATTEMPTS = 3, 20, 2  # an appliance says soon that the store is away, and looks again later

CHUNK_BYTES = 2**16
ABANDONED_S = 3600  # an upload that lives does not take so long

_MISSING = {"404", "NoSuchKey", "NotFound"}
_LOST = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_DENIED = {"403", "AccessDenied"}
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

    def read(self, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        """See Store."""
        with self._refusals(key):
            answer = self._client.get_object(**self._at(key))
            return b"".join(_chunks(answer, max_bytes, f"{self.uri}/{key}")), _tag(answer)

    def tag(self, key: str) -> str | None:
        """See Store."""
        try:
            with self._refusals(key):
                return _tag(self._client.head_object(**self._at(key)))
        except Missing:
            return None

    def digest(self, key: str, *, max_bytes: int) -> Digest:
        """See Store."""
        with self._refusals(key):
            return Digest.of(_chunks(self._client.get_object(**self._at(key)), max_bytes, f"{self.uri}/{key}"))

    def download(self, key: str, file: Path, *, max_bytes: int) -> None:
        """See Store."""
        with self._refusals(key):
            answer = self._client.get_object(**self._at(key))
            # One stream, not boto3's transfer in parts: it ends at the limit, whatever the server says of the size.
            with whole_file(file) as part, part.open("wb") as target:
                target.writelines(_chunks(answer, max_bytes, f"{self.uri}/{key}"))

    def write(self, key: str, data: bytes, *, replaces: Replaces = ANY) -> str:
        """See Store."""
        condition = {} if replaces is ANY else {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        with self._refusals(key):
            return _tag(self._client.put_object(**self._at(key), Body=data, **condition))

    def upload(self, key: str, file: Path) -> None:
        """See Store."""
        with self._refusals(key):
            self._client.upload_file(str(file), self._bucket, self._at(key)["Key"])

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """See Store."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with self._refusals(prefix):
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    if is_key(key):
                        yield Entry(key, item["Size"], item["LastModified"].timestamp())

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

    def remove_abandoned(self, prefix: str = "") -> int:
        """End multipart uploads that began more than ABANDONED_S ago: a server keeps their parts for ever."""
        before = datetime.now(UTC) - timedelta(seconds=ABANDONED_S)
        removed = 0
        with self._refusals(prefix):
            answer = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._prefix + prefix)
            for upload in answer.get("Uploads", ()):
                if upload["Initiated"] < before:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    removed += 1
        return removed

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(self.uri, key)}

    @contextmanager
    def _refusals(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._refusal(error, key) from error
        except KeyError as error:
            raise StoreError(f"{self._where}: its answer lacks {error}; is it an S3 server?") from error
        except (BotoCoreError, S3UploadFailedError, HTTPError, ValueError) as error:  # botocore leaks the last
            if isinstance(error.__context__, ClientError):  # boto3 has put its own around it
                raise self._refusal(error.__context__, key) from error
            raise StoreError(f"{self._where}: {error}; check MINIO_ENDPOINT and the network") from error

    def _refusal(self, error: ClientError, key: str) -> StoreError:
        """What the server's error means here."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            return Missing(f"{self.uri}/{key}: is not there")
        if code in _LOST:
            return Conflict(f"{self.uri}/{key}: another writer has changed it meanwhile; look at it and try again")
        remedy = _REMEDIES.get(code, "look at the server's log")
        kind = Denied if code in _DENIED else StoreError
        return kind(f"{self._where}: the server refused ({code}); {remedy}")


def _tag(answer: Mapping[str, Any]) -> str:
    return str(answer["ETag"])


def _chunks(answer: Mapping[str, Any], max_bytes: int, name: str) -> Iterator[bytes]:
    """The body of an answer; raises TooLarge as soon as it is known to be larger than `max_bytes`."""
    with closing(answer["Body"]) as body:
        if answer.get("ContentLength", 0) > max_bytes:
            raise TooLarge.than(max_bytes, name)
        left = max_bytes
        while chunk := body.read(min(CHUNK_BYTES, left + 1)):  # one more tells that there is more
            left -= len(chunk)
            if left < 0:
                raise TooLarge.than(max_bytes, name)
            yield chunk
