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

# NiceGUI's elements that bring a library of their own, and that no page of ours uses
# (tests/deploy/images/test_image.py holds that). The empty folder stays: NiceGUI registers it at import.
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

# Pygments' lexers, 8 MB: the one that Rich draws a traceback of Python with stays.
LEXERS_KEPT = {"__init__.py", "_mapping.py", "python.py"}

UNUSED = (
    "PIL/_imagingft.*",  # fonts: nothing here draws text into a photo
    "boto3/examples",
    "boto3/data",
    "docutils",  # NiceGUI's element for reStructuredText, which imports it when it is used
    "docutils-*.dist-info",
    "faker",  # polyfactory's, which invents OpenAPI examples: we write ours
    "faker-*.dist-info",
    "multipart",  # python-multipart's former name, which looks for the source of Litestar's multipart.py and hands over
    "nicegui/static/sass.*.js",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/_core/_multiarray_tests.*",
    "numpy/_core/_simd.*",  # NumPy's own tests of its vector code
    "numpy/f2py",
    "numpy/**/tests",
    "pillow.libs/libfreetype-*",
    "pillow.libs/libharfbuzz-*",
    "watchfiles",  # reloads a server under development
    "watchfiles-*.dist-info",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
)


# Of onnxruntime, which the flavour `native` leaves out.
UNUSED_OF_ONNXRUNTIME = (
    "onnxruntime/capi/libonnxruntime.so*",  # the C interface: the Python module has its own copy inside
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
)


def main() -> None:
    """Prune this interpreter's site-packages."""
    site = Path(sysconfig.get_path("purelib"))
    for pattern in (*UNUSED, *(UNUSED_OF_ONNXRUNTIME if (site / "onnxruntime").exists() else ())):
        remove(site, pattern)
    for lexer in (site / "pygments/lexers").glob("*.py"):
        if lexer.name not in LEXERS_KEPT:
            lexer.unlink()
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
