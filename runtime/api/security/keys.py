"""API keys: made, read from settings as SHA-256 digests, and compared in constant time. No web framework here."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from runtime.errors import Refusal
from runtime.names import entries
from runtime.serving.settings import Settings

_ENTRY = re.compile(r"(?:[\w.-]{1,40}=)?sha256:([0-9a-f]{64})")


class BadKeys(Refusal):
    """A list of keys that cannot be parsed; the message names its variable, never a key."""


def new_key() -> tuple[str, str]:
    """A random key, and the entry that accepts it in DANDELION_API_KEYS or DANDELION_ADMIN_KEYS."""
    key = secrets.token_urlsafe(32)
    return key, f"sha256:{digest_of(key)}"


def read_keys(text: str | None, variable: str) -> frozenset[str]:
    """The SHA-256 digests in a comma-separated list of `[name=]sha256:<64 hex digits>`; raises BadKeys."""
    digests = set()
    for position, entry in enumerate(entries(text), 1):
        match = _ENTRY.fullmatch(entry)
        if not match:
            raise BadKeys(
                f"{variable}: entry {position} is not `sha256:` and 64 hex digits; `python -m runtime key` makes one"
            )
        digests.add(match[1])
    return frozenset(digests)


def predicting_keys(settings: Settings) -> frozenset[str]:
    """The digests of the keys that may predict; empty if no key is required."""
    return settings.api_keys | settings.admin_keys if settings.api_keys else frozenset()


def given_key(api_key: str, authorization: str) -> str:
    """The key in the `X-API-Key` or `Authorization` header, which are empty if they are missing; empty if none."""
    return (api_key or (authorization[7:] if authorization[:7].lower() == "bearer " else "")).strip()


def is_among(digests: frozenset[str], digest: str) -> bool:
    """Whether the digest of a given key is one of `digests`."""
    # Every digest is compared, whichever matches, so the time tells nothing.
    return sum(hmac.compare_digest(digest, known) for known in digests) > 0


def digest_of(key: str) -> str:
    """What settings know of a key: its SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()
