"""The default bundle, which is part of the repository, so that a fresh clone serves without a download."""

from pathlib import Path

from runtime.bundle.manifest import MANIFEST, BundleError


def default_bundle() -> Path:
    """The folder of the default bundle; raises BundleError if there is not exactly one."""
    folder = Path(__file__).parent
    found = [manifest.parent for manifest in folder.glob(f"*/{MANIFEST}")]
    if len(found) != 1:
        raise BundleError(f"{folder}: holds {len(found)} bundles, not one; check it out again or name another bundle")
    return found[0]
