"""Photo sources for `fetch`: a web server of a folder, one that misbehaves, and recorded lists."""

from __future__ import annotations

import hashlib
import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

Handler = type[http.server.SimpleHTTPRequestHandler]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass  # clients that give up are what some tests are about


@contextmanager
def serving(folder: Path, handler: Handler = Quiet, port: int = 0) -> Iterator[str]:
    with Server(("127.0.0.1", port), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def misbehaving(action: Callable[[Quiet], None]) -> Handler:
    class Misbehaving(Quiet):
        def do_GET(self) -> None:
            if self.path.endswith("grass/0000.jpg"):
                action(self)
            else:
                super().do_GET()

    return Misbehaving


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}


def write_list(file: Path, folder: Path, base_url: str | None = None) -> Path:
    entries = [
        {"path": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
        for name in sorted(names(folder))
    ]
    file.write_text(json.dumps({"photos": entries} | ({"base_url": base_url} if base_url else {})))
    return file
