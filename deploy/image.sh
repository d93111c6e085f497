#!/usr/bin/env bash
# Build one image of this repository: deploy/image.sh appliance|mlflow|airflow [argument of docker build …]
#
#   IMAGE       name of the result                          (dandelion-NAME:VERSION)
#   FLAVOUR     of the appliance: standard, or native, which leaves onnxruntime out (standard)
#   BASE_IMAGE  base instead of the pinned one; `auto` makes one with debootstrap where no registry is reachable
#   WHEELS      folder with CPU wheels of torch and torchvision, for airflow (PyTorch's own index)
#   BUILD_CA    certificate bundle for package downloads behind a site's own authority
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
shift
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image=${IMAGE:-dandelion-$name:$version}
flavour=${FLAVOUR:-standard}
if [ "$name" = appliance ]; then
  image=${IMAGE:-dandelion:$version}
  if [ "$flavour" != standard ]; then image=${IMAGE:-dandelion:$version-$flavour}; fi
fi

arguments=(
  --file "deploy/$name/Dockerfile"
  --tag "$image"
  --build-arg "VERSION=$version"
  --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
)
if [ "$name" = appliance ]; then arguments+=(--build-arg "FLAVOUR=$flavour"); fi
if [ "${BASE_IMAGE:-}" = auto ]; then BASE_IMAGE=$(deploy/base-image.sh); fi
if [ -n "${BASE_IMAGE:-}" ]; then arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
if [ -n "${BUILD_CA:-}" ]; then arguments+=(--secret "id=ca,src=$BUILD_CA"); fi
if [ "$name" = airflow ]; then
  rm -rf deploy/airflow/wheels
  if [ -n "${WHEELS:-}" ]; then
    mkdir deploy/airflow/wheels
    find "$WHEELS" -maxdepth 1 -name 'torch*.whl' -exec ln -f {} deploy/airflow/wheels/ \;
  fi
fi

# BuildKit comes as the plugin buildx, or inside an older client; Debian's client may stand behind another on PATH.
if docker buildx version >/dev/null 2>&1; then
  docker buildx build --load "${arguments[@]}" "$@" .
else
  client=docker
  if [ -x /usr/bin/docker ]; then client=/usr/bin/docker; fi
  DOCKER_BUILDKIT=1 "$client" build --network "${BUILD_NETWORK:-default}" "${arguments[@]}" "$@" .
fi
echo "built $image"
