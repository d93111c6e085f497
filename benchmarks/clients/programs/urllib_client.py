"""Python's own urllib: no forms."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

case, url, file = sys.argv[1:]
if case not in {"raw", "chunked", "large"}:
    sys.exit(3)
data = Path(file).read_bytes()
body = iter([data[:1000], data[1000:]]) if case == "chunked" else data
request = urllib.request.Request(url, body, {"Content-Type": "image/jpeg"})
try:
    with urllib.request.urlopen(request) as answer:
        print(answer.read().decode(), answer.status, sep="\n")
except urllib.error.HTTPError as error:
    print(error.read().decode(), error.code, sep="\n")
