#!/usr/bin/env bash
# Write the offline kit of an image: one file for a host without a network.
#
#   IMAGE   the image                                       (dandelion:VERSION)
#   KEY     private SSH key that signs it                   (unsigned)
#   LEVEL   of compression, 1 (fast) to 9                   (6)
#   OUT     folder of the result                            (var/kit)
set -euo pipefail
cd "$(dirname "$0")/../.."

version=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
image=${IMAGE:-dandelion:$version}
out=${OUT:-var/kit}

architecture=$(docker image inspect --format '{{.Architecture}}' "$image")
flavour=$(docker image inspect --format '{{with .Config.Labels}}{{index . "dandelion.flavour"}}{{end}}' "$image")
name=dandelion-$version-$architecture
if [ "$flavour" = native ]; then name=dandelion-$version-native-$architecture; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name" "$out"

docker save "$image" | gzip -n "-${LEVEL:-6}" >"$work/$name/image.tar.gz"
echo "$version" >"$work/$name/version"
install -m 755 deploy/kit/install.sh "$work/$name/install.sh"
install -m 644 deploy/kit/dandelion.service deploy/kit/GUIDE.md "$work/$name/"
(cd "$work/$name" && sha256sum -- * >"$work/SHA256SUMS")
mv "$work/SHA256SUMS" "$work/$name/SHA256SUMS"
if [ -n "${KEY:-}" ]; then
  ssh-keygen -q -Y sign -f "$KEY" -n dandelion-kit "$work/$name/SHA256SUMS"
fi
tar --create --file "$out/$name.kit.tar.part" --directory "$work" --owner 0 --group 0 "$name"
mv "$out/$name.kit.tar.part" "$out/$name.kit.tar"
echo "wrote $out/$name.kit.tar ($(du -m "$out/$name.kit.tar" | cut -f1) MB${KEY:+, signed}); next: GUIDE.md in it"
