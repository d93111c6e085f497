"""Take out of the installed packages what the appliance never opens; run while the image is built.

Each name is checked: a package that has moved its files stops the build, so that this list cannot rot unseen.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

# Other services than S3; what boto3's credential chain may ask (STS, SSO) stays.
AWS_KEPT = {"s3", "sts", "sso", "sso-oidc"}

# NiceGUI's elements that bring a library of their own, and that no page of ours uses (tests/deploy/test_image.py holds
# that). The empty folder stays: NiceGUI registers it at import.
UNUSED_ELEMENTS = (
    "aggrid",
    "codemirror",
    "joystick",
    "json_editor",
    "leaflet",
    "mermaid",
    "plotly",
    "scene",
    "xterm",
)

UNUSED = (
    "boto3/examples",
    "boto3/data",
    "faker",  # polyfactory's, which invents OpenAPI examples: we write ours
    "faker-*.dist-info",
    "nicegui/static/sass.*.js",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/**/tests",
    "onnxruntime/capi/libonnxruntime.so*",  # the C interface: the Python module has its own copy inside
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
)


def main() -> None:
    """Prune this interpreter's site-packages."""
    site = Path(sysconfig.get_path("purelib"))
    for pattern in UNUSED:
        remove(site, pattern)
    for element in UNUSED_ELEMENTS:
        remove(site, f"nicegui/elements/{element}/dist/*")
    for folder in sorted((site / "botocore/data").iterdir()):
        if folder.is_dir() and folder.name not in AWS_KEPT:
            shutil.rmtree(folder)


def remove(site: Path, pattern: str) -> None:
    """Remove what matches; that something does is part of the contract."""
    found = sorted(site.glob(pattern))
    if not found:
        sys.exit(f"prune.py: nothing in {site} matches {pattern}; take it off the list, or say where it moved")
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
