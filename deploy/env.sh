#!/usr/bin/env bash
# Write .env from .env.example, with a fresh secret, or this host's names, on every line that follows a `# generated`.
# Never overwrites.
# Another file: deploy/env.sh FILE
set -euo pipefail
cd "$(dirname "$0")/.."

file=${1:-.env}
if [ -e "$file" ]; then
  echo "$file exists and stays as it is; the databases know its passwords. Move it away first if you mean it." >&2
  exit 1
fi

random_hex() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }
host_names() { # of this machine: whole, short, in multicast DNS
  local name short
  name=$(uname -n) short=${name%%.*}
  printf '%s\n' "$name" "$short" "$short.local" | sort -u | paste -sd, -
}
random_fernet() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }

declare -A values=()
umask 077
temporary=$(mktemp "$file.XXXXXX")
trap 'rm -f "$temporary"' EXIT
kind=
while IFS= read -r line; do
  if [[ $line =~ ^([A-Z0-9_]+)=$ && -n $kind ]]; then
    name=${BASH_REMATCH[1]}
    case $kind in
      hex) values[$name]=$(random_hex) ;;
      fernet) values[$name]=$(random_fernet) ;;
      'host names') values[$name]=$(host_names) ;;
      'hash of '*)
        plain=${values[${kind#hash of }]}
        values[$name]=sha256:$(printf %s "$plain" | sha256sum | cut -d' ' -f1)
        ;;
      *)
        echo ".env.example: '$kind' is no kind of value; hex, fernet, 'host names' and 'hash of NAME' are" >&2
        exit 1
        ;;
    esac
    line=$name=${values[$name]}
  fi
  kind=
  if [[ $line == '# generated: '* ]]; then kind=${line#'# generated: '}; fi
  printf '%s\n' "$line"
done <.env.example >"$temporary"
ln "$temporary" "$file" # fails if somebody else has written it meanwhile
echo "wrote $file (readable by you alone); next: docker compose up -d"
