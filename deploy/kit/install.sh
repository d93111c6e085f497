#!/usr/bin/env bash
# The appliance on a host with Docker or Podman and no network. From an unpacked kit: ./install.sh [--key SIGNER.pub]
# Once installed, this same script is the command `dandelion`; see `dandelion help` and GUIDE.md.
set -euo pipefail

usage() {
  cat <<'TEXT'
dandelion install [--key SIGNER.pub]   verify the unpacked kit that this script lies in, load it, start it; with a key,
                                       this kit and every later one must be signed by it
dandelion upgrade FILE.kit.tar         the same with a new kit; goes back by itself if the new version does not answer
dandelion rollback                     back to the version before
dandelion import FILE                  take in a new model, checked like any other; it is served within seconds
dandelion status                       versions, and whether the appliance answers
dandelion start | stop                 now; the host starts it at boot
dandelion uninstall                    stop and remove it; its state stays in the volume dandelion-state
TEXT
}

ROOT=${DANDELION_ROOT:-} # another root for the files below: for tests
ETC=$ROOT/etc/dandelion
STATE=$ROOT/var/lib/dandelion-kit
COMMAND=$ROOT/usr/local/bin/dandelion
UNIT=$ROOT/etc/systemd/system/dandelion.service
NAME=dandelion
WAIT_S=${DANDELION_WAIT_S:-60}
MOST_RESTARTS=3 # of a version that has not answered yet

# Settings of this host; $ETC/host.conf overrides them.
PORT=8000
BIND=0.0.0.0
MEMORY=512m
CPUS=
# shellcheck source=/dev/null
if [ -f "$ETC/host.conf" ]; then . "$ETC/host.conf"; fi

say() { echo "dandelion: $*"; }
refuse() {
  echo "dandelion: $*" >&2
  exit 1
}

if [ -z "${ENGINE:-}" ]; then ENGINE=$(command -v docker || command -v podman || true); fi
engine() {
  [ -n "$ENGINE" ] || refuse "neither Docker nor Podman is here; install one of them"
  "$ENGINE" "$@"
}

has_systemd() { [ -z "$ROOT" ] && [ -d /run/systemd/system ]; }

# ── verify ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

verify_signature() { # folder, key
  command -v ssh-keygen >/dev/null || refuse "ssh-keygen is needed to check the signature; install openssh-client"
  [ -f "$1/SHA256SUMS.sig" ] || refuse "this kit is not signed, and this host takes only kits signed by $2"
  printf 'kit %s\n' "$(cat "$2")" >"$1/.signers"
  ssh-keygen -Y verify -f "$1/.signers" -I kit -n dandelion-kit -s "$1/SHA256SUMS.sig" <"$1/SHA256SUMS" >/dev/null 2>&1 ||
    refuse "the signature is not one by $2 over this kit; get the kit again, from somebody whom you trust"
}

verify() { # folder, key or nothing
  [ -f "$1/SHA256SUMS" ] || refuse "$1 is not an unpacked kit: SHA256SUMS is missing"
  if [ -n "$2" ]; then verify_signature "$1" "$2"; fi
  local named file
  named=$(cut -c67- "$1/SHA256SUMS")
  for file in image.tar.gz version install.sh dandelion.service; do
    grep -qx "$file" <<<"$named" || refuse "SHA256SUMS does not name $file; get the kit again"
  done
  (cd "$1" && sha256sum --check --strict --quiet SHA256SUMS) >&2 ||
    refuse "the kit is damaged (see above); copy it again"
}

# ── run ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

run_arguments() { # prints one argument a line
  local image
  image=$(sed -n 1p "$STATE/current")
  # Its host's name: browsers that ask for it are let in.
  printf '%s\n' --name "$NAME" --hostname "$(uname -n)" --read-only --memory "$MEMORY" --cap-drop ALL \
    --security-opt no-new-privileges --pids-limit 256 --publish "$BIND:$PORT:8000" --volume "$NAME-state:/var/lib/dandelion" \
    --env-file "$ETC/appliance.env" --env DANDELION_MODELS=/var/lib/dandelion/models
  if [ -n "$CPUS" ]; then printf '%s\n' --cpus "$CPUS"; fi
  printf '%s\n' "$image"
}

run() { # in the foreground, for systemd
  engine rm --force "$NAME" >/dev/null 2>&1 || true
  local arguments
  mapfile -t arguments < <(run_arguments)
  engine run --rm "${arguments[@]}"
}

start() {
  if has_systemd; then
    systemctl restart dandelion
  else
    engine rm --force "$NAME" >/dev/null 2>&1 || true
    local arguments
    mapfile -t arguments < <(run_arguments)
    engine run --detach --restart unless-stopped "${arguments[@]}" >/dev/null
  fi
}

stop() {
  if has_systemd; then systemctl stop dandelion; fi
  engine stop --time 40 "$NAME" >/dev/null 2>&1 || true
}

answers() { engine exec "$NAME" python -ISB /opt/dandelion/health.py >/dev/null 2>&1; }

keeps_ending() { # has the engine started it again and again? systemd's `run` leaves nothing to ask for
  local restarts
  restarts=$(engine inspect --format '{{.RestartCount}}' "$NAME" 2>/dev/null) && [ "$restarts" -ge "$MOST_RESTARTS" ]
}

wait_until_it_answers() {
  local deadline=$((SECONDS + WAIT_S))
  until answers; do
    if [ "$SECONDS" -ge "$deadline" ] || keeps_ending; then return 1; fi
    sleep 0.5
  done
}

# ── install, upgrade, roll back ──────────────────────────────────────────────────────────────────────────────────────────

load() { # folder; prints the image's id, as this engine counts ids
  local loaded
  # Unpacked here: Podman before version 5 takes a compressed archive for a damaged one.
  loaded=$(gunzip --stdout "$1/image.tar.gz" | engine load | sed -n 's/^Loaded image[^:]*: //p' | tail -n 1)
  [ -n "$loaded" ] || refuse "the engine cannot load the image"
  engine image inspect --format '{{.Id}}' "$loaded"
}

try() { # image: is it right on this CPU?
  engine run --rm --network none --read-only --cap-drop ALL "$1" runtime check >/dev/null ||
    refuse "the new version does not give right answers on this host (see above); nothing has changed"
}

settle() { # folder: command, unit and settings
  install -D -m 755 "$1/install.sh" "$COMMAND"
  mkdir -p "$ETC"
  if [ ! -f "$ETC/appliance.env" ]; then
    printf '# Settings of the appliance, one NAME=value a line, for example DANDELION_API_KEYS=sha256:…\n' >"$ETC/appliance.env"
    chmod 600 "$ETC/appliance.env"
  fi
  if [ ! -f "$ETC/host.conf" ]; then
    printf '# PORT=8000\n# BIND=0.0.0.0\n# MEMORY=512m\n# CPUS=2\n' >"$ETC/host.conf"
  fi
  install -D -m 644 "$1/dandelion.service" "$UNIT"
  if has_systemd; then
    systemctl daemon-reload
    systemctl enable --quiet dandelion
  fi
}

switch_to() { # image, version: start it; back to the one before if it does not answer
  mkdir -p "$STATE"
  local before=
  if [ -f "$STATE/current" ]; then before=$(cat "$STATE/current"); fi
  printf '%s\n%s\n' "$1" "$2" >"$STATE/current.new"
  mv "$STATE/current.new" "$STATE/current"
  if start && wait_until_it_answers; then
    if [ -n "$before" ] && [ "$(head -n 1 <<<"$before")" != "$1" ]; then printf '%s\n' "$before" >"$STATE/previous"; fi
    say "version $2 answers on port $PORT"
    return
  fi
  engine logs --tail 5 "$NAME" >&2 || true
  local what="does not answer"
  if keeps_ending; then what="keeps ending"; fi
  [ -n "$before" ] || refuse "version $2 $what (see above); is port $PORT free?"
  printf '%s\n' "$before" >"$STATE/current"
  start
  wait_until_it_answers || refuse "neither version $2 nor the one before answers (see above)"
  refuse "version $2 $what (see above); the one before runs again"
}

install_from() { # folder, key or nothing
  verify "$1" "$2"
  local image
  image=$(load "$1")
  try "$image"
  settle "$1"
  if [ -n "$2" ] && [ "$2" != "$ETC/signer.pub" ]; then install -m 644 "$2" "$ETC/signer.pub"; fi
  switch_to "$image" "$(cat "$1/version")"
}

trusted_key() { if [ -f "$ETC/signer.pub" ]; then echo "$ETC/signer.pub"; fi; }

upgrade() { # kit file
  [ -f "$1" ] || refuse "$1: there is no such file"
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  tar --extract --file "$1" --directory "$unpacked" --strip-components 1 --no-same-owner ||
    refuse "$1 is not a kit, or damaged; copy it again"
  install_from "$unpacked" "$(trusted_key)"
}

rollback() {
  [ -f "$STATE/previous" ] || refuse "there is no version before this one"
  switch_to "$(sed -n 1p "$STATE/previous")" "$(sed -n 2p "$STATE/previous")"
}

import_model() { # bundle file
  [ -f "$1" ] || refuse "$1: there is no such file"
  local file
  file=$(realpath "$1")
  engine run --rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges \
    --volume "$NAME-state:/var/lib/dandelion" --volume "$file:/import/$(basename "$file"):ro" \
    --env-file "$ETC/appliance.env" --env DANDELION_MODELS=/var/lib/dandelion/models \
    "$(sed -n 1p "$STATE/current")" runtime models import "/import/$(basename "$file")" ||
    refuse "the model was not taken in (see above); the one before goes on"
}

status() {
  say "version $(sed -n 2p "$STATE/current"), before it $(sed -n 2p "$STATE/previous" 2>/dev/null || echo none)"
  if answers; then say "answers on port $PORT"; else refuse "does not answer; look at: $(basename "$ENGINE") logs $NAME"; fi
}

uninstall() {
  stop
  if has_systemd; then systemctl disable --quiet dandelion; fi
  engine rm --force "$NAME" >/dev/null 2>&1 || true
  rm -rf "$STATE" "$UNIT" "$COMMAND"
  say "removed; settings stay in $ETC, models and photos in the volume $NAME-state"
}

main() {
  local action=${1:-install}
  if [[ $action == --* ]]; then action=install; else shift $(($# > 0)); fi
  case $action in
    install)
      local key
      key=$(trusted_key)
      if [ "${1:-}" = --key ]; then key=${2:?--key needs the file of a public key}; fi
      install_from "$(cd "$(dirname "$(realpath "$0")")" && pwd)" "$key"
      ;;
    upgrade) upgrade "${1:?name the kit: dandelion upgrade FILE.kit.tar}" ;;
    import) import_model "${1:?name the model: dandelion import FILE}" ;;
    run | start | stop | rollback | status | uninstall) "$action" ;;
    help | -h) usage ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
}

main "$@"
