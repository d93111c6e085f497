"""Answers of an S3 server, lost or changed on their way to a store."""

from __future__ import annotations

from typing import Any

from runtime.store.s3 import S3Store


def refusing_with(status: int, store: S3Store) -> list[int]:
    """A refused condition comes with `status`: AWS says 409 where two write at once. Returns the refusals."""
    refusals: list[int] = []

    def change(response_dict: dict[str, Any], **_: object) -> None:
        if response_dict["status_code"] == 412:
            refusals.append(status)
            response_dict["status_code"] = status
            if status == 409:
                response_dict["body"] = b"<Error><Code>ConditionalRequestConflict</Code></Error>"

    store.client.meta.events.register("before-parse.s3.PutObject", change)
    return refusals


def losing_the_answer(store: S3Store, key: str) -> list[int]:
    """The answer to the first write of `key` is lost, so that boto3 sends it again; returns the attempts."""
    attempts: list[int] = []

    def lose(request_dict: dict[str, Any], attempts: int, **_: object) -> float | None:
        if not request_dict["url_path"].endswith(key):
            return None
        seen.append(attempts)
        return 0.0 if attempts == 1 else None

    seen = attempts
    store.client.meta.events.register_first("needs-retry.s3.PutObject", lose)
    return attempts
