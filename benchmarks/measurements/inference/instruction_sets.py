"""Which kernels a command measures: what serves here, or the instruction sets that were named."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.inference.backends import NATIVE, Name, open_validated
from runtime.native.layout import Instructions
from runtime.native.library import VARIABLE, library


def served_kernel(bundle: Bundle) -> Name:
    """What the appliance computes the bundle with on this host; raises BundleError if nothing does."""
    return open_validated(bundle, threads=1).kernel.kernel


def require_sets(wanted: Sequence[Instructions]) -> None:
    """Raise Refusal, with those that this host has, if it lacks one of the `wanted` instruction sets."""
    native = library()
    there = (*native.available, "reference") if native else ()
    lacking = [name for name in wanted if name not in there]
    if lacking:
        has = f"this host has {', '.join(there)}" if there else f"this host has no native kernel, or {VARIABLE} is off"
        raise Refusal(f"--isa {', '.join(lacking)}: {has}")


def kernels_to_measure(wanted: Sequence[Instructions], served: Name) -> list[Name]:
    """Those that were `wanted`; if none were, what serves and each slower instruction set that the host has."""
    if wanted:
        return list(dict.fromkeys(wanted))
    native = library()
    return list(native.choices) if native and served in NATIVE else [served]
