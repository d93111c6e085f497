"""The signing key of this host: it signs what was taught here, and no other host trusts it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runtime.host.atomic import alone_in, whole_file
from runtime.registry.signature import BadKey, new_keys, signing_key

if TYPE_CHECKING:
    from nacl.signing import SigningKey, VerifyKey

HOST_KEY = "host.key"  # in the cache


def host_key(cache: Path) -> SigningKey:
    """The private key of the host whose cache this is; made at the first call, once, whoever else calls meanwhile.

    Raises BadKey for a file that holds no key, OSError if the disk is full or read-only.
    """
    file = cache / HOST_KEY
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with alone_in(cache):
            if not file.exists():
                with whole_file(file, mode=0o600) as part:
                    part.write_text(f"{new_keys()[0]}\n")
    return _read(file)


def host_public_key(cache: Path) -> VerifyKey | None:
    """The public key of the host whose cache this is; None if nothing was signed here yet. Raises BadKey."""
    file = cache / HOST_KEY
    return _read(file).verify_key if file.exists() else None


def _read(file: Path) -> SigningKey:
    try:
        return signing_key(str(file))
    except BadKey as error:
        raise BadKey(
            f"{file}: is no key that can be read; restore it, or delete it: what was taught here before is then "
            "refused until the operator has signed it"
        ) from error
