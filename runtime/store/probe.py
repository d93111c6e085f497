"""What an S3 server can do, found out by asking it: a row of the table in docs/stores.md."""

from __future__ import annotations

import base64
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runtime.store.conditions import probe_conditions
from runtime.store.interface import StoreError
from runtime.store.opening import open_store
from runtime.store.s3 import S3Store
from runtime.store.s3_errors import code_of

LARGE = 12 * 2**20  # bytes: two parts of a multipart upload
KEYS = ("a b", "a#b?c", "a.txt", "a/1", "a/2", "b+%20", "é")  # in the order of their UTF-8; a folder sorts after a dot
YES = "yes"


def probe(uri: str) -> dict[str, str]:
    """What the server of the bucket `uri` does with conditional writes, checksums, streams, listings and regions.

    Keys of its own are written below the URI and removed again. Raises StoreError.
    """
    store = open_store(uri.rstrip("/") + f"/probe-{secrets.token_hex(8)}")
    if not isinstance(store, S3Store):
        raise StoreError(f"{uri}: is a folder; name a bucket, s3://bucket/prefix")
    heeded = probe_conditions(store)
    asked: Mapping[str, Callable[[S3Store], str]] = {
        "ETag": _etags,
        "checksum": _checksum,
        "stream with a checksum behind it": _chunked,
        "upload in parts": _in_parts,
        "listing": _listing,
        "region": _region,
    }
    return {
        "If-None-Match": _heeded(heeded.new),
        "If-Match": _heeded(heeded.unchanged),
        "If-Match of a key that is gone": _heeded(heeded.gone),
    } | {name: _answer(store, ask) for name, ask in asked.items()}


def _heeded(found: str | None) -> str:
    return f"no ({found.partition(':')[0]})" if found else YES


def _answer(store: S3Store, ask: Callable[[S3Store], str]) -> str:
    try:
        return ask(store)
    except ClientError as error:
        return f"no ({code_of(error)})"
    except (StoreError, BotoCoreError) as error:
        return f"no ({type(error).__name__})"
    finally:
        with suppress(StoreError):
            for entry in list(store.list()):
                store.delete(entry.key)


def _etags(store: S3Store) -> str:
    at = store.at("tags")
    answers = {
        "PUT": store.client.put_object(**at, Body=b"content"),
        "HEAD": store.client.head_object(**at),
        "GET": store.client.get_object(**at),
    }
    without = [method for method, answer in answers.items() if not answer.get("ETag")]
    return f"no (none to {', '.join(without)})" if without else YES


def _checksum(store: S3Store) -> str:
    """Whether content that is not what its checksum says is refused."""
    wrong = base64.b64encode(bytes(32)).decode()
    try:
        store.client.put_object(**store.at("sum"), Body=b"content", ChecksumSHA256=wrong)
    except ClientError:
        return YES
    return "no (ignored)"


def _chunked(store: S3Store) -> str:
    """Whether a body in chunks with a checksum behind it (aws-chunked), as newer clients send, is stored unpacked."""

    def behind(params: dict[str, Any], **_: object) -> None:
        params["context"]["checksum"]["request_algorithm"]["in"] = "trailer"

    events = store.client.meta.events
    events.register("before-call.s3.PutObject", behind)
    try:
        store.client.put_object(**store.at("chunks"), Body=b"content" * 1000, ChecksumAlgorithm="CRC32")
    finally:
        events.unregister("before-call.s3.PutObject", behind)
    stored = store.client.get_object(**store.at("chunks"))["Body"].read()
    return YES if stored == b"content" * 1000 else "no (stores the chunks' frames, too)"


def _in_parts(store: S3Store) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file, back = Path(folder, "large"), Path(folder, "back")
        file.write_bytes(secrets.token_bytes(LARGE))
        store.upload("large", file)
        store.download("large", back, max_bytes=LARGE)
        return YES if back.read_bytes() == file.read_bytes() else "no (other bytes come back)"


def _listing(store: S3Store) -> str:
    """Whether all keys are listed once, in pages of two, and in the order of their bytes."""
    refused = [key for key in KEYS if not _takes(store, key)]
    found = list[str]()
    for page in store.client.get_paginator("list_objects_v2").paginate(
        Bucket=store.bucket, Prefix=store.prefix, PaginationConfig={"PageSize": 2}
    ):
        found += [item["Key"].removeprefix(store.prefix) for item in page.get("Contents", ())]
    wanted = [key for key in KEYS if key not in refused]
    faults = [f"takes no key like {refused[0]!r}"] if refused else []
    if sorted(found) != wanted:
        faults.append("keys are missing" if set(found) < set(wanted) else "keys are not those written")
    elif any(before > after for before, after in pairwise(found)):
        faults.append("not in the order of keys")
    return f"no ({', '.join(faults)})" if faults else YES


def _takes(store: S3Store, key: str) -> bool:
    try:
        store.write(key, key.encode())
        return bool(store.client.get_object(**store.at(key))["Body"].read() == key.encode())
    except (StoreError, ClientError):
        return False


def _region(store: S3Store) -> str:
    """Whether the server knows the region in which the bucket was made, by `store init` with the same AWS_REGION."""
    asked = store.client.meta.region_name
    found = store.client.get_bucket_location(Bucket=store.bucket).get("LocationConstraint") or "us-east-1"
    return YES if found == asked else f"no (says {found} for {asked})"
