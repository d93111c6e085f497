"""nginx and Caddy as reverse proxies, by the very blocks of docs/operations.md."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.appliances.servers import free_port
from tests.support.suite.system_packages import program
from tests.support.waiting import wait_until

PAGE = Path(__file__).parents[3] / "docs/operations.md"
PREFIX = "/meadow"
_NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{block}
}}
"""


@contextmanager
def reverse_proxy(kind: str, folder: Path, upstream: str, *, prefix: str = PREFIX) -> Iterator[str]:
    """`nginx` or `caddy` before the appliance at `upstream`; where it serves, with the prefix."""
    port = free_port()
    host = upstream.removeprefix("http://")
    write = {"nginx": _nginx, "caddy": _caddy}[kind]
    with _serving(kind, folder, write(folder, port, host, prefix), port):
        yield f"http://127.0.0.1:{port}{prefix}"


@contextmanager
def _serving(kind: str, folder: Path, arguments: list[str], port: int) -> Iterator[None]:
    server = program(kind)
    assert server, f"a test of {kind} is marked with `needs`"
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = subprocess.Popen(
        [server, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: process.poll() is None and _listens(port), f"{kind} listens")
        yield
    finally:
        process.terminate()
        process.wait(30)


def documented(kind: str) -> str:
    """The block of the page in the language `kind`."""
    [block] = re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(block)


def _nginx(folder: Path, port: int, upstream: str, prefix: str) -> list[str]:
    """As documented, but for the certificate, the port and the address; without a prefix as the page says."""
    block = re.sub(r" *ssl_.*\n", "", documented("nginx"))
    block = block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace("127.0.0.1:8000", upstream)
    if not prefix:
        block = block.replace(f"location {PREFIX}/", "location /").replace("http://dandelion/;", "http://dandelion;")
        block = re.sub(r" *proxy_set_header X-Forwarded-Prefix.*\n", "", block)
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, block=block))
    return ["-c", str(file)]


def _caddy(folder: Path, port: int, upstream: str, prefix: str) -> list[str]:
    block = documented("caddyfile").replace("meadow.example {", f"http://127.0.0.1:{port} {{")
    block = block.replace("127.0.0.1:8000", upstream)
    if not prefix:
        block = block.replace(f"handle_path {PREFIX}/*", "handle")
        block = re.sub(r" *header_up X-Forwarded-Prefix.*\n", "", block)
    file = folder / "Caddyfile"
    file.write_text("{\n  admin off\n}\n" + block)
    return ["run", "--adapter", "caddyfile", "--config", str(file)]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def plain_proxy(kind: str, folder: Path, upstream: str, *, websockets: bool = False) -> Iterator[str]:
    """`nginx` or `caddy` as people set them up in a hurry: they are told nothing but where to send requests.

    With `websockets`, nginx is told to pass them on, too.
    """
    port, host = free_port(), upstream.removeprefix("http://")
    upgrade = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
    block = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {upstream}; {upgrade if websockets else ''} }} }}"
    )
    nginx, caddy = folder / "nginx.conf", folder / "Caddyfile"
    nginx.write_text(_NGINX.format(folder=folder, block=block))
    caddy.write_text(f"{{\n  admin off\n}}\nhttp://:{port} {{\n  bind 127.0.0.1\n  reverse_proxy {host}\n}}\n")
    arguments = {
        "nginx": ["-c", str(nginx)],
        "caddy": ["run", "--adapter", "caddyfile", "--config", str(caddy)],
    }
    with _serving(kind, folder, arguments[kind], port):
        yield f"http://127.0.0.1:{port}"
