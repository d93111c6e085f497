"""Cut off the shared libraries of packages what only a debugger reads; run while the image is built, after prune.py.

Wheels often carry symbols and debugging information behind the last byte that the loader maps into memory: 14 of
uvloop's 16 MB. The loader reads the program headers alone, so the section headers, which lie behind it as well, may go
with them.
"""

from __future__ import annotations

import struct
import sysconfig
from pathlib import Path

LEAST_BYTES = 1 << 16  # what cutting has to save: a library that has nothing to lose stays as it was signed
ELF_64_LITTLE = b"\x7fELF\x02\x01"
PROGRAM_HEADERS_AT, SECTION_HEADERS_AT = 32, 40  # offsets in the ELF header (System V ABI, chapter 4)
PROGRAM_HEADER_SIZE_AT, SECTION_COUNT_AT = 54, 60


def main() -> None:
    """Strip this interpreter's site-packages, and say what that saved."""
    site = Path(sysconfig.get_path("purelib"))
    saved = sum(strip(file) for file in sorted(site.rglob("*.so*")) if file.is_file() and not file.is_symlink())
    print(f"strip.py: {saved / 1e6:.1f} MB less")


def strip(file: Path) -> int:
    """Shorten one library; returns the bytes that it has lost, 0 for a file that is none or has little to lose."""
    content = bytearray(file.read_bytes())
    if not content.startswith(ELF_64_LITTLE):
        return 0
    saved = len(content) - mapped_bytes(content)
    if saved < LEAST_BYTES:
        return 0
    del content[-saved:]
    struct.pack_into("<Q", content, SECTION_HEADERS_AT, 0)
    struct.pack_into("<HH", content, SECTION_COUNT_AT, 0, 0)
    file.write_bytes(content)
    return saved


def mapped_bytes(content: bytes | bytearray) -> int:
    """How much of a library's file its program headers name, from the beginning."""
    (start,) = struct.unpack_from("<Q", content, PROGRAM_HEADERS_AT)
    size, count = struct.unpack_from("<HH", content, PROGRAM_HEADER_SIZE_AT)
    ends = [start + size * count]
    for header in range(start, start + size * count, size):
        (offset,) = struct.unpack_from("<Q", content, header + 8)
        (length,) = struct.unpack_from("<Q", content, header + 32)
        ends.append(offset + length)
    return max(ends)


if __name__ == "__main__":
    main()
