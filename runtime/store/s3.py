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
from runtime.store.s3_errors import code_of, remedy, remedy_without_answer

CONNECT_S, READ_S, ATTEMPTS = 3, 20, 2  # an appliance says soon that the store is away, and looks again later
DEFAULT_REGION = "us-east-1"

CHUNK_BYTES = 2**16
ABANDONED_S = 3600  # an upload that lives does not take so long

_MISSING = {"404", "NoSuchKey", "NotFound"}
_LOST = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_DENIED = {"403", "AccessDenied"}


class S3Store:
    """Keys below a prefix of one bucket; `client` is boto3's."""

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        """Nothing is asked of the server yet."""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
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
            session = boto3.session.Session()
            self.client: Any = session.client(
                "s3",
                endpoint_url=settings.endpoint,
                aws_access_key_id=settings.access_key,
                aws_secret_access_key=settings.secret_key,
                region_name=os.environ.get("AWS_REGION") or session.region_name or DEFAULT_REGION,
                config=config,
            )
        except (BotoCoreError, ValueError) as error:  # one key of two, an endpoint that is no address
            remedy = "check MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY"
            raise StoreError(f"{self._where}: {error}; {remedy}") from error

    def read(self, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        """See Store."""
        with self._refusals(key):
            answer = self.client.get_object(**self.at(key))
            return b"".join(_chunks(answer, max_bytes, f"{self.uri}/{key}")), self._tag(answer)

    def tag(self, key: str) -> str | None:
        """See Store."""
        try:
            with self._refusals(key):
                return self._tag(self.client.head_object(**self.at(key)))
        except Missing:
            return None

    def digest(self, key: str, *, max_bytes: int) -> Digest:
        """See Store."""
        with self._refusals(key):
            return Digest.of(_chunks(self.client.get_object(**self.at(key)), max_bytes, f"{self.uri}/{key}"))

    def download(self, key: str, file: Path, *, max_bytes: int) -> None:
        """See Store."""
        with self._refusals(key):
            answer = self.client.get_object(**self.at(key))
            # One stream, not boto3's transfer in parts: it ends at the limit, whatever the server says of the size.
            with whole_file(file) as part, part.open("wb") as target:
                target.writelines(_chunks(answer, max_bytes, f"{self.uri}/{key}"))

    def write(self, key: str, data: bytes, *, replaces: Replaces = ANY) -> str:
        """See Store."""
        condition = {} if replaces is ANY else {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        with self._refusals(key):
            try:
                return self._tag(self.client.put_object(**self.at(key), Body=data, **condition))
            except ClientError as error:
                if code_of(error) in _MISSING and isinstance(replaces, str):  # what must be replaced is gone
                    raise self._conflict(key) from error
                raise

    def upload(self, key: str, file: Path) -> None:
        """See Store."""
        with self._refusals(key):
            self.client.upload_file(str(file), self.bucket, self.at(key)["Key"])

    def list(self, prefix: str = "", *, invalid: bool = False, at_most: int | None = None) -> Iterator[Entry]:
        """See Store."""
        # SeaweedFS lists a folder before `folder.txt`, as a file system would; S3's order is that of the bytes.
        found = dict[str, Entry]()
        for entry in self._listed(prefix):
            if invalid or is_key(entry.key):
                found[entry.key] = entry
            if at_most is not None and len(found) > at_most:
                raise TooLarge.many(at_most, f"{self.uri}/{prefix}")
        yield from (found[key] for key in sorted(found))

    def _listed(self, prefix: str) -> Iterator[Entry]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        with self._refusals(prefix):
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self.prefix)
                    yield Entry(key, item["Size"], item["LastModified"].timestamp())

    def delete(self, key: str) -> None:
        """See Store."""
        with self._refusals(key):
            self.client.delete_object(**self.at(key))

    def create(self) -> bool:
        """See Store."""
        with self._refusals(""):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if code_of(error) not in {"404", "NoSuchBucket"}:
                    raise
                return self._create()
        return False

    def _create(self) -> bool:
        region = self.client.meta.region_name
        # "us-east-1" is no LocationConstraint: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
        where = {} if region == DEFAULT_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self.client.create_bucket(Bucket=self.bucket, **where)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":  # made meanwhile, or the answer to the first try was lost
                raise
            return False
        return True

    def remove_abandoned(self, prefix: str = "") -> int:
        """End multipart uploads that began more than ABANDONED_S ago: a server keeps their parts for ever."""
        before = datetime.now(UTC) - timedelta(seconds=ABANDONED_S)
        removed = 0
        with self._refusals(prefix):
            answer = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix + prefix)
            for upload in answer.get("Uploads", ()):
                if upload["Initiated"] < before:
                    self.client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    removed += 1
        return removed

    def at(self, key: str) -> dict[str, str]:
        """Bucket and whole key, as boto3 takes them; raises InvalidKey."""
        return {"Bucket": self.bucket, "Key": self.prefix + checked_key(self.uri, key)}

    def _tag(self, answer: Mapping[str, Any]) -> str:
        if not answer.get("ETag"):
            raise StoreError(
                f"{self._where}: its answer has no ETag, which keeps two writers apart; use another server"
            )
        return str(answer["ETag"])

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
            raise StoreError(
                f"{self._where}: {' '.join(str(error).split())}; {remedy_without_answer(error)}"
            ) from error

    def _refusal(self, error: ClientError, key: str) -> StoreError:
        """What the server's error means here."""
        code = code_of(error)
        if code in _MISSING:
            return Missing(f"{self.uri}/{key}: is not there")
        if code in _LOST:
            return self._conflict(key)
        kind = Denied if code in _DENIED else StoreError
        return kind(f"{self._where}: the server refused ({code}); {remedy(error)}")

    def _conflict(self, key: str) -> Conflict:
        return Conflict(f"{self.uri}/{key}: another writer has changed it meanwhile; look at it and try again")


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
