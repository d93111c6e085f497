#!/usr/bin/env bash
# Print the section of CHANGELOG.md for one version: deploy/release-notes.sh TAG
# Fails if TAG is not `v` and the version in pyproject.toml, or if the changelog has no dated section for it.
set -euo pipefail
cd "$(dirname "$0")/.."

tag=$1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
if [ "$tag" != "v$version" ]; then
  echo "the tag is $tag, and pyproject.toml says $version: change one of them" >&2
  exit 1
fi
notes=$(awk -v heading="## [$version] - " '
  index($0, "## ") == 1 { inside = index($0, heading) == 1 && $0 ~ / - [0-9]+-[0-9]+-[0-9]+$/; next }
  inside' CHANGELOG.md)
if [ -z "$notes" ]; then
  echo "CHANGELOG.md has no section \"## [$version] - DATE\"" >&2
  exit 1
fi
echo "$notes"
