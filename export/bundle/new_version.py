"""A new version of a bundle that is there: some of its files or its golden cases are others, all else is as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from runtime.bundle.manifest import SIGNATURE, Bundle, GoldenCase
from runtime.registry.bundle_writer import describe_files, staged, write_manifest
from runtime.registry.signature import sign_folder

if TYPE_CHECKING:
    from nacl.signing import SigningKey


def write_version(
    bundle: Bundle,
    folder: Path,
    *,
    golden: Sequence[GoldenCase],
    named_by: bytes,
    files: Mapping[str, bytes] | None = None,
    version: str | None = None,
    key: SigningKey | None = None,
) -> Bundle:
    """Write `bundle` with other `golden` cases and `files` below `folder`, and open it again, verified.

    Without the name `version`, that is the day (UTC) and the hash of `named_by`. Signed with `key`, if any. Raises
    WriteError.
    """
    now = datetime.now(UTC)
    target = folder / (version or f"{now:%Y%m%d}-{hashlib.sha256(named_by).hexdigest()[:8]}")
    with staged(target) as part:
        for name in bundle.manifest.files:
            content = (files or {}).get(name)
            (part / name).write_bytes((bundle.path / name).read_bytes() if content is None else content)
        manifest = msgspec.structs.replace(
            bundle.manifest,
            version=target.name,
            created=now.isoformat(timespec="seconds"),
            golden=list(golden),
            files=describe_files(part),
        )
        write_manifest(part, manifest)
        if key:
            sign_folder(part, key)
    return Bundle.open(target)


def is_signed(bundle: Bundle) -> bool:
    """Whether a signature lies beside its manifest."""
    return (bundle.path / SIGNATURE).exists()
