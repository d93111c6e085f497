"""aiohttp."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

case, url, file = sys.argv[1:]
data = Path(file).read_bytes()


async def chunks() -> AsyncIterator[bytes]:
    yield data[:1000]
    yield data[1000:]


def body() -> dict[str, Any]:
    if case == "form":
        form = aiohttp.FormData()
        form.add_field("file", data, filename="photo.jpg", content_type="image/jpeg")
        return {"data": form}
    sent = {"raw": data, "large": data, "chunked": chunks() if case == "chunked" else None}
    return {"data": sent[case], "headers": {"Content-Type": "image/jpeg"}}


async def main() -> None:
    async with aiohttp.ClientSession() as session, session.post(url, **body()) as answer:
        print(await answer.text(), answer.status, sep="\n")


if case in {"upgrade", "v2"}:
    sys.exit(3)
asyncio.run(main())
