"""The 400 public photos of dandelions and grass: fetched from where they are, and checked by their recorded hashes."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

import msgspec

from runtime.errors import Refusal
from runtime.names import Sha256

RECORDED = Path(__file__).with_name("public.json")
ATTEMPTS = 3
PAUSE_S = 0.5  # before the second attempt; doubles with each further one
TIMEOUT_S = 15.0  # to connect, and between two pieces of an answer


class Unfetched(Refusal):
    """A photo that could not be fetched; the message says what to do."""

    retryable = True


class PublicPhoto(msgspec.Struct, frozen=True):
    """One photo: `<class>/<name>`, and what it must be."""

    path: str
    sha256: Sha256
    size_bytes: int

    @property
    def label(self) -> str:
        """Its class."""
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.path.rpartition("/")[2]


class PublicPhotos(msgspec.Struct, frozen=True):
    """All of them, and where they are."""

    base_url: str
    photos: list[PublicPhoto]

    @property
    def size_bytes(self) -> int:
        """What fetching them takes."""
        return sum(photo.size_bytes for photo in self.photos)


@cache
def public_photos() -> PublicPhotos:
    """The recorded list, which is part of this package."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=PublicPhotos)


def fetch(base_url: str, photo: PublicPhoto) -> bytes:
    """The bytes of a photo, which are those that were recorded; raises Unfetched."""
    url = f"{base_url}/{photo.path}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            data = _read(url, photo.size_bytes)
        except urllib.error.HTTPError as error:
            error.close()
            raise Unfetched(f"{url}: the server answered {error.code}; the photos may have moved") from error
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError, and a time-out, too
            if attempt == ATTEMPTS:
                raise _offline(base_url, error) from error
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
            continue
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            raise Unfetched(f"{url}: is not the photo that was recorded; something between here and there alters it")
        return data
    raise AssertionError("the last attempt returns or raises")


def _read(url: str, size_bytes: int) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - a recorded address
        data: bytes = answer.read(size_bytes + 1)
        return data


def _offline(base_url: str, error: Exception) -> Unfetched:
    host = base_url.split("/")[2]
    why = getattr(error, "reason", None) or error
    return Unfetched(
        f"the public photos cannot be fetched from {host} ({why}); they need a network, the drawn ones do not"
    )
