"""A bundle whose golden cases are recorded anew, by the native kernel: the same model as a new version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from export.bundle.new_version import write_version
from runtime.bundle.manifest import Bundle, GoldenCase
from runtime.errors import Refusal
from runtime.host.cpu import available_cpus
from runtime.inference.golden_record import record_natively

if TYPE_CHECKING:
    from nacl.signing import SigningKey


class CannotRecord(Refusal):
    """A bundle that is left as it is; the message says why."""


def recorded(bundle: Bundle) -> list[GoldenCase]:
    """The golden cases of `bundle` with the native kernel's answers.

    Raises CannotRecord if they are so already, and if the kernel answers none of them here.
    """
    manifest = bundle.manifest
    cases = record_natively(manifest.golden, bundle.model, manifest.input, manifest.outputs, threads=available_cpus())
    if cases == manifest.golden:
        raise CannotRecord(
            f"{bundle.path}: its golden cases stay as they are: they are the native kernel's already, or it does not "
            f"compute this model here (`python -m runtime check {bundle.path}` says what does)"
        )
    return cases


def write_recorded(
    bundle: Bundle,
    cases: list[GoldenCase],
    folder: Path,
    *,
    version: str | None = None,
    key: SigningKey | None = None,
) -> Bundle:
    """Write the new version below `folder`; without a name, it is the day (UTC) and a hash of model and cases."""
    named_by = bundle.model.read_bytes() + msgspec.json.encode(cases)
    return write_version(bundle, folder, golden=cases, named_by=named_by, version=version, key=key)
