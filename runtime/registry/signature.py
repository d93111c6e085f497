"""Model signing: Ed25519 signatures (RFC 8032) over the manifest of a bundle, which holds the hashes of all files."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.bundle.manifest import MANIFEST, SIGNATURE, BundleError
from runtime.errors import Refusal
from runtime.host.atomic import whole_file

if TYPE_CHECKING:
    from nacl.signing import SigningKey, VerifyKey

KEY_BYTES = 32
KEY_VARIABLE = "DANDELION_PUBLIC_KEY"
SIGNING_VARIABLE = "DANDELION_SIGNING_KEY"


class BadKey(Refusal):
    """A key that cannot be read; the message names where it came from."""


def new_keys() -> tuple[str, str]:
    """A fresh private key and its public key, base64."""
    from nacl.signing import SigningKey  # noqa: PLC0415 - only those who sign or verify pay for it

    key = SigningKey.generate()
    return base64.b64encode(bytes(key)).decode(), base64.b64encode(bytes(key.verify_key)).decode()


def signing_key(text_or_file: str) -> SigningKey:
    """The private key in a file, or given as base64; raises BadKey."""
    from nacl.signing import SigningKey  # noqa: PLC0415

    return SigningKey(_key(text_or_file, SIGNING_VARIABLE))


def public_key(text_or_file: str) -> VerifyKey:
    """The public key in a file, or given as base64; raises BadKey."""
    from nacl.signing import VerifyKey  # noqa: PLC0415

    return VerifyKey(_key(text_or_file, KEY_VARIABLE))


def sign(manifest: bytes, key: SigningKey) -> bytes:
    """The content of `manifest.sig` for the bytes of a manifest."""
    return base64.b64encode(key.sign(manifest).signature) + b"\n"


def sign_folder(folder: Path, key: SigningKey) -> Path:
    """Sign the bundle in `folder`, which has been verified; returns the signature's file. Raises OSError."""
    file = folder / SIGNATURE
    with whole_file(file) as part:
        part.write_bytes(sign((folder / MANIFEST).read_bytes(), key))
    return file


def verify(manifest: bytes, signature: bytes | None, key: VerifyKey, *, origin: str) -> None:
    """Raise BundleError unless `signature` was made over `manifest` with the private part of `key`."""
    if signature is None:
        raise BundleError(
            f"{origin}: is not signed, and {KEY_VARIABLE} asks for a signature; sign it and publish again"
        )
    if not is_signed(manifest, signature, key):
        raise BundleError(
            f"{origin}: its signature is not of the key in {KEY_VARIABLE}; do not trust it, unless you know on which "
            f"appliance it was taught: then sign it where the private key is, python -m runtime models sign {origin}"
        )


def is_signed(message: bytes, signature: bytes, key: VerifyKey) -> bool:
    """Whether `signature` (base64) was made over `message` with the private part of `key`."""
    from nacl.exceptions import BadSignatureError  # noqa: PLC0415

    try:
        key.verify(message, base64.b64decode(signature, validate=False))
    except (BadSignatureError, binascii.Error, ValueError):
        return False
    return True


def _key(text_or_file: str, what: str) -> bytes:
    path = Path(text_or_file)
    try:
        text = path.read_text().strip() if path.is_file() else text_or_file.strip()
        raw = base64.b64decode(text, validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise BadKey(f"{what}: is neither a readable file nor base64; make keys with `models keys`") from error
    if len(raw) != KEY_BYTES:
        raise BadKey(f"{what}: is {len(raw)} bytes long, an Ed25519 key is {KEY_BYTES}; make keys with `models keys`")
    return raw
