"""Print what an image adds to its base: on disk, and compressed as a registry would send it.

    python deploy/image_size.py IMAGE BASE [--most-mb 220] [--most-compressed-mb 90]

Fails when a figure is above its limit. Layers that the base has, too, are not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import IO

MEGA = 1_000_000


def main() -> None:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description="What an image adds to its base.")
    parser.add_argument("image")
    parser.add_argument("base")
    parser.add_argument("--most-mb", type=float, default=220)
    parser.add_argument("--most-compressed-mb", type=float, default=90)
    options = parser.parse_args()
    added = len(layers(options.base))
    if layers(options.image)[:added] != layers(options.base):
        sys.exit(f"{options.image} is not built on {options.base}; name its real base")
    unpacked, compressed = (size / MEGA for size in measure(options.image, skip=added))
    print(
        f"{options.image} adds to {options.base}: {unpacked:.1f} MB (limit {options.most_mb:g}), "
        f"compressed {compressed:.1f} MB (limit {options.most_compressed_mb:g})"
    )
    if unpacked > options.most_mb or compressed > options.most_compressed_mb:
        sys.exit("too large: see deploy/appliance/prune.py for what can be left out")


def layers(image: str) -> list[str]:
    """The digests of an image's layers, lowest first; a base that only the builder has seen is pulled."""
    command = ["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", image]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    if asked.returncode:
        if subprocess.run(["docker", "pull", "--quiet", image], check=False, stdout=sys.stderr).returncode:
            sys.exit(f"{image} is not here and cannot be pulled; build it first, or name another")
        asked = subprocess.run(command, check=True, capture_output=True, text=True)
    found: list[str] = json.loads(asked.stdout)
    return found


def measure(image: str, *, skip: int) -> tuple[int, int]:
    """Bytes of the files in all layers but the first `skip`, and of those layers as gzip archives."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "image.tar"
        subprocess.run(["docker", "save", "--output", saved, image], check=True)
        with tarfile.open(saved) as archive:
            names: list[str] = json.load(member(archive, "manifest.json"))[0]["Layers"][skip:]
            unpacked = compressed = 0
            for name in names:
                layer = member(archive, name)
                with tarfile.open(fileobj=layer) as files:
                    unpacked += sum(file.size for file in files if file.isfile())
                layer.seek(0)
                compressed += gzip_size(layer)
            return unpacked, compressed


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file inside an archive, open for reading."""
    found = archive.extractfile(name)
    if found is None:
        raise tarfile.TarError(f"{name} is no file")
    return found


def gzip_size(stream: IO[bytes]) -> int:
    """Bytes of a stream after gzip at its default level."""
    packer = zlib.compressobj(wbits=31)
    size = 0
    while chunk := stream.read(1 << 20):
        size += len(packer.compress(chunk))
    return size + len(packer.flush())


if __name__ == "__main__":
    main()
