"""The signed pointer to the latest version, `models/latest.json`, with rollback protection.

A signed pointer holds a counter that only grows. A host remembers the highest counter it has seen, and refuses an older
pointer: somebody with write access to the store, but without the key, cannot roll hosts back.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Annotated

import msgspec

from runtime.bundle.manifest import BundleError
from runtime.names import NOT_JSON, Sha256, Version, plain
from runtime.registry.signature import KEY_VARIABLE, SIGNING_VARIABLE, is_signed

if TYPE_CHECKING:
    from nacl.signing import SigningKey, VerifyKey

MAX_POINTER_BYTES = 4_000
_PURPOSE = "dandelion pointer 1"  # a signature of a manifest, which is JSON, is none of a pointer


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The version to serve, and the hash of its manifest, which holds the hashes of its files.

    `signature` (base64, Ed25519) is over all of the others.
    """

    version: Version
    manifest_sha256: Sha256
    counter: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0
    signature: Annotated[str, msgspec.Meta(max_length=100)] | None = None

    @property
    def target(self) -> tuple[str, str]:
        """Version and manifest hash."""
        return self.version, self.manifest_sha256


def parse_pointer(data: bytes, *, origin: str) -> Pointer:
    """Parse and validate a pointer; raises BundleError, which names `origin`."""
    try:
        return msgspec.json.decode(data, type=Pointer)
    except NOT_JSON as error:
        raise BundleError(f"{origin}: {plain(error)}; publish a model again") from error


def signed(pointer: Pointer, key: SigningKey, *, after: int) -> Pointer:
    """`pointer` with a signature and a counter above `after`: the time (ms), or the next number if that is higher.

    The time is there for a pointer that was deleted: hosts remember its counter, and the store does not.
    """
    counted = msgspec.structs.replace(pointer, counter=max(after + 1, time.time_ns() // 1_000_000))
    signature = base64.b64encode(key.sign(_message(counted)).signature).decode()
    return msgspec.structs.replace(counted, signature=signature)


def check_signature(pointer: Pointer, key: VerifyKey, *, origin: str) -> None:
    """Raise BundleError unless `pointer` was signed by the private part of `key`."""
    if pointer.signature is None:
        raise BundleError(
            f"{origin}: is not signed, and {KEY_VARIABLE} asks for a signature; where the private key is: "
            f"{SIGNING_VARIABLE}=FILE python -m runtime models promote {pointer.version}"
        )
    if not is_signed(_message(pointer), pointer.signature.encode(), key):
        raise BundleError(f"{origin}: its signature is not of the key in {KEY_VARIABLE}; do not trust it")


def _message(pointer: Pointer) -> bytes:
    fields = (_PURPOSE, pointer.version, pointer.manifest_sha256, str(pointer.counter))
    return "\n".join(fields).encode()
