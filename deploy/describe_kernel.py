"""SBOM fragment (CycloneDX) and SHA-256 of a compiled kernel, written beside it: `python describe_kernel.py LIBRARY`.

`make kernel` calls it. The same library gives the same bytes, so there is neither a serial number nor a date.
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
    """Write SHA256SUMS and dandelion-kernel.cdx.json into the folder of the library."""
    library = Path(sys.argv[1])
    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    library.with_name("SHA256SUMS").write_text(f"{digest}  {library.name}\n")
    described = json.dumps(sbom(library.name, digest, version()), indent=2)
    library.with_name(f"{NAME}.cdx.json").write_text(described + "\n")


def version() -> str:
    """The kernel's own version, as api.h states it."""
    found = re.search(r'DANDELION_KERNEL_VERSION "(.+)"', HEADER.read_text())
    if not found:
        sys.exit(f"{HEADER}: has no DANDELION_KERNEL_VERSION")
    return found[1]


def sbom(file: str, sha256: str, number: str) -> dict[str, Any]:
    """One component, with the file that it consists of (https://cyclonedx.org/docs/1.5/json)."""
    hashes = [{"alg": "SHA-256", "content": sha256}]
    licences = [{"license": {"id": LICENCE}}]
    purl = f"pkg:generic/{NAME}@{number}"
    component = {"type": "library", "bom-ref": purl, "name": NAME, "version": number, "licenses": licences}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": [
            component
            | {"purl": purl, "hashes": hashes, "components": [{"type": "file", "name": file, "hashes": hashes}]}
        ],
    }


if __name__ == "__main__":
    main()
