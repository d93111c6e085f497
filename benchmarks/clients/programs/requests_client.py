"""requests."""

from __future__ import annotations

import sys
from pathlib import Path

import requests

case, url, file = sys.argv[1:]
data = Path(file).read_bytes()
headers = {"Content-Type": "image/jpeg"}
match case:
    case "raw" | "large":
        answer = requests.post(url, data=data, headers=headers, timeout=60)
    case "chunked":
        answer = requests.post(url, data=iter([data[:1000], data[1000:]]), headers=headers, timeout=60)
    case "form":
        answer = requests.post(url, files={"file": ("photo.jpg", data, "image/jpeg")}, timeout=60)
    case _:
        sys.exit(3)
print(answer.text, answer.status_code, sep="\n")
