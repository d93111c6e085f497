"""Bundles with a title, a headline and a picture of their own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from runtime.bundle.manifest import MANIFEST, describe_file
from tests.support.models.bundles import change_manifest

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40" fill="none" stroke="#0a7d8c" stroke-width="2">'
    b'<path d="M4 24c8-14 20-14 26-4l6-2-4 6c-3 10-18 12-28 0z"/><circle cx="27" cy="20" r="1.500"/></svg>'
)


def with_picture(bundle: Path, data: bytes, name: str = "picture.svg", **display: str) -> Path:
    """The bundle in the folder `bundle`, with a picture and what else it shows of its product."""
    (bundle / name).write_bytes(data)
    files = msgspec.json.decode((bundle / MANIFEST).read_bytes())["files"]
    files[name] = msgspec.to_builtins(describe_file(bundle / name))
    change_manifest(bundle, files=files, display=display | {"picture": name})
    return bundle
