"""Runs inside a started appliance: wait until it is ready, ask for a photo's label and for the page; print JSON.

The photo comes as base64 in PROBE_PHOTO; without it one is drawn. Nothing but the standard library and Pillow is used.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import random
import sys
import time
from pathlib import Path

PORT = int(os.environ.get("PORT", "8000"))
PATIENCE_S = 30


def main() -> None:
    """Probe and print."""
    wait_until_ready()
    ready_at = time.time()
    photo = base64.b64decode(os.environ.get("PROBE_PHOTO", "")) or draw()
    status, body = ask("POST", "/predict", photo, {"Content-Type": "image/jpeg"})
    page, _ = ask("GET", "/")
    found = {
        "ready_at": ready_at,
        "status": status,
        "answer": json.loads(body),
        "page": page,
        "unroutable_packets": unroutable_packets(),
        "peak_bytes": peak_bytes(),
    }
    json.dump(found, sys.stdout)


def ask(method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE_S)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response.status, response.read()


def wait_until_ready() -> None:
    """Poll /health/ready."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if ask("GET", "/health/ready")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    sys.exit(f"not ready within {PATIENCE_S} s")


def draw() -> bytes:
    """A dandelion for those who have no photo at hand: yellow florets around a centre, on a meadow."""
    from PIL import Image, ImageDraw, ImageFilter  # noqa: PLC0415 # the probe waits for the server, not for Pillow

    dice = random.Random(1)  # noqa: S311
    image = Image.new("RGB", (320, 240), (58, 104, 40))
    pen = ImageDraw.Draw(image)
    for _ in range(900):
        x, y = dice.uniform(0, 320), dice.uniform(0, 240)
        shade = dice.randint(60, 150)
        pen.line(
            [x, y, x + dice.uniform(-9, 9), y - dice.uniform(10, 40)], fill=(shade // 2, shade, shade // 3), width=2
        )
    for x, y, size in ((160, 118, 78), (62, 60, 34), (268, 182, 30)):
        for _ in range(700):
            angle = dice.gauss(0, 1), dice.gauss(0, 1)
            length = (angle[0] ** 2 + angle[1] ** 2) ** 0.5 or 1
            reach = size * dice.uniform(0.4, 1)
            tip = x + angle[0] / length * reach, y + angle[1] / length * reach
            pen.line([x, y, *tip], fill=(dice.randint(225, 255), dice.randint(175, 220), dice.randint(0, 40)), width=3)
    stream = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(0.8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def unroutable_packets() -> int:
    """Packets that this container wanted to send elsewhere: without a network each one is counted as unroutable."""
    rows = [line.split() for line in Path("/proc/1/net/snmp").read_text().splitlines() if line.startswith("Ip:")]
    count = int(dict(zip(rows[0], rows[1], strict=True))["OutNoRoutes"])
    six = Path("/proc/1/net/snmp6")
    if six.exists():
        count += int(dict(line.split() for line in six.read_text().splitlines())["Ip6OutNoRoutes"])
    return count


def peak_bytes() -> int | None:
    """The most memory that this container has held, where the kernel tells (cgroup v2 or v1)."""
    for file in ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"):
        if Path(file).exists():
            return int(Path(file).read_text())
    return None


if __name__ == "__main__":
    main()
