"""SBOM fragment (CycloneDX) and SHA-256 of the compiled kernels, written beside them: `describe_kernel.py LIBRARY…`.

`make kernel` calls it. The same libraries give the same bytes, so there is neither a serial number nor a date.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

HEADER = Path(__file__).parents[1] / "runtime" / "native" / "kernel" / "api.h"
NAME, LICENCE = "dandelion-kernel", "Apache-2.0"


def main() -> None:
    """Write SHA256SUMS and dandelion-kernel.cdx.json into the folder of the libraries."""
    libraries = [Path(each) for each in sys.argv[1:]]
    digests = {library.name: hashlib.sha256(library.read_bytes()).hexdigest() for library in libraries}
    folder = libraries[0].parent
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
    (folder / f"{NAME}.cdx.json").write_text(json.dumps(sbom(digests, version()), indent=2) + "\n")


def version() -> str:
    """The kernel's own version, as api.h states it."""
    found = re.search(r'DANDELION_KERNEL_VERSION "(.+)"', HEADER.read_text())
    if not found:
        sys.exit(f"{HEADER}: has no DANDELION_KERNEL_VERSION")
    return found[1]


def sbom(digests: dict[str, str], number: str) -> dict[str, Any]:
    """One component, with the files that it consists of (https://cyclonedx.org/docs/1.5/json)."""
    files = [
        {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
        for name, digest in digests.items()
    ]
    licences = [{"license": {"id": LICENCE}}]
    purl = f"pkg:generic/{NAME}@{number}"
    component = {"type": "library", "bom-ref": purl, "name": NAME, "version": number, "licenses": licences}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": [component | {"purl": purl, "components": files}],
    }


if __name__ == "__main__":
    main()
