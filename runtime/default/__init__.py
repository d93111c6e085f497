"""The bundle that is carried in the repository, so that a fresh clone serves: the folder beside this file."""

from pathlib import Path

from runtime.bundle import MANIFEST


def default_bundle() -> Path:
    """The folder of the default bundle."""
    (manifest,) = Path(__file__).parent.glob(f"*/{MANIFEST}")
    return manifest.parent
