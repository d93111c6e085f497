#!/usr/bin/env bash
# Print the name of a base image that was made from Debian's packages alone, for a machine without an image registry.
# Needs root, debootstrap and a running Docker engine.
set -euo pipefail

suite=${SUITE:-trixie}
image=dandelion-base:$suite
if ! docker image inspect "$image" >/dev/null 2>&1; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  echo "making $image with debootstrap" >&2
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$root/base" >&2
  rm -rf "$root"/base/var/cache/apt/archives/*.deb "$root"/base/var/lib/apt/lists/*
  tar -C "$root/base" -c . | docker import --change 'CMD ["/bin/bash"]' - "$image" >/dev/null
fi
echo "$image"
