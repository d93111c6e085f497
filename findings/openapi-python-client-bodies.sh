#!/usr/bin/env bash
# Finding: openapi-python-client 0.29.1 makes a module that cannot be imported of a valid OpenAPI operation whose required
# body has two media types: the signature names `Unset`, which the module does not import. The generator says nothing. With
# one media type the module is right. OpenAPI Generator 7.14 (`-g python`) takes both.
#
# Seen with Python 3.11: one media type: imported; two media types: NameError: name 'Unset' is not defined.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openapi-python-client==0.29.1
PATH="$work/venv/bin:$PATH"

document() { # the media types of the body
  python3 - "$@" <<'PYTHON'
import json
import sys

kinds = {
    "multipart/form-data": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}},
    "application/octet-stream": {"type": "string", "format": "binary"},
}
content = {kind: {"schema": kinds[kind]} for kind in sys.argv[1:]}
post = {"operationId": "send", "requestBody": {"required": True, "content": content}, "responses": {"200": {"description": "OK"}}}
print(json.dumps({"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/send": {"post": post}}}))
PYTHON
}

imported() { # folder, media types
  local folder="$work/$1"
  shift
  document "$@" >"$folder.json"
  openapi-python-client generate --path "$folder.json" --output-path "$folder" --meta none >&2
  cd "$work"
  (python3 -c "import $(basename "$folder").api.default.send" 2>&1 || true) | tail -n 1
}

one=$(imported one multipart/form-data)
two=$(imported two multipart/form-data application/octet-stream)
echo "one media type: ${one:-imported}; two media types: ${two:-imported}"
[[ -z $one && $two == *"name 'Unset' is not defined"* ]]
