"""A fork server, `python -m tests.support.forks.forkserver CHANNEL PARENT [KIND]`.

Each order on the socket CHANNEL forks a process that goes on as `python -m MODULE …` does. One of a KIND has imported
all that an appliance, one with the page, or the tasks of a pipeline need, which takes seconds of CPU. It ends with the
process PARENT, and what it has forked ends with it.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import socket
import sys
from importlib import import_module
from typing import Any

from runtime.host.child_process import end_with_parent

MAX_ORDER = 1 << 20  # bytes: an environment is some kilobytes
APPLIANCE = (
    "anyio._backends._asyncio",
    "numpy.random",
    "runtime.api.app",
    "runtime.cli.batch",
    "runtime.cli.models",
    "runtime.cli.options",
    "runtime.host.sockets",
    "runtime.inference.onnxruntime_session",
    "runtime.serving.appliance",
    "runtime.serving.uvicorn_server",
    "runtime.store.s3",
    "boto3",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.websockets.auto",
    "zoneinfo",
)
IMPORTED: dict[str, tuple[str, ...]] = {
    "appliance": APPLIANCE,
    "page": (*APPLIANCE, "ui.server.process"),
    "pipeline": ("tests.pipelines.imported",),
}


def warm_up(kind: str) -> None:
    """Import what a process of its kind does, and what that imports once it begins; starts no session."""
    for name in IMPORTED[kind]:
        import_module(name)
    if kind != "pipeline":
        warm_up_appliance()
    gc.collect()
    gc.freeze()  # else a collection in each child would copy every page


def warm_up_appliance() -> None:
    """Do once what Litestar and boto3 import when they are first used."""
    from litestar import Litestar, get

    from runtime.store import S3Settings, open_store
    from tests.support.web.client_files import share_service_models

    @get("/")
    async def nothing() -> None: ...

    Litestar([nothing])
    share_service_models()
    open_store("s3://bucket", S3Settings("http://localhost", "key", "secret"))


def serve(channel: socket.socket, parent: int) -> dict[str, Any]:
    """Carry out orders until the other end is closed; returns in a forked process, with the order that it is for."""
    ending = os.pidfd_open(parent)
    while True:
        ready, _, _ = select.select([channel.fileno(), ending], [], [])
        if ending in ready:
            os._exit(1)
        message, files, _, _ = socket.recv_fds(channel, MAX_ORDER, 2)
        if not message:
            sys.exit(0)
        order: dict[str, Any] = json.loads(message)
        if "reap" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["reap"], 0)[1])
        else:
            own = os.getpid()
            answer = os.fork()
            if not answer:
                channel.close()
                os.close(ending)
                become(order, files, own)
                return order
            for file in files:
                os.close(file)
        channel.send(str(answer).encode())


def become(order: dict[str, Any], files: list[int], parent: int) -> None:
    """What a new process has of its own: session, output and errors (in one file or two), environment, arguments."""
    end_with_parent(parent)
    os.setsid()
    os.dup2(files[0], 1)
    os.dup2(files[-1], 2)
    for file in files:
        os.close(file)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["-m", *order["arguments"]]


if __name__ == "__main__":
    before = dict(os.environ)
    for kind in sys.argv[3:]:
        warm_up(kind)
    set_by_imports = {name: value for name, value in os.environ.items() if before.get(name) != value}
    ordered = serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    os.environ.update(set_by_imports)
    # Here, so that it ends as any other program does: with the exit code of SystemExit, and its threads joined.
    runpy.run_module(ordered["module"], run_name="__main__", alter_sys=True)
