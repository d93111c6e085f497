"""Catalogue of peers: how each is started, and in which settings; its best one counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.contenders.environments import python_of
from benchmarks.contenders.servers import Recipe, appliance
from benchmarks.host.server_process import HOST
from benchmarks.load_generator import raw_requests
from runtime.bundle.manifest import Bundle

HERE = Path(__file__).parent
OURS = "this repository"
REPLACED = "replaced"
REPLACED_SIZE = 224  # px, as the replaced stack had it


class Setting(NamedTuple):
    """How the cores are shared: worker processes, photos at once in each, threads of one inference."""

    workers: int
    pool: int
    threads: int

    def __str__(self) -> str:
        """For a table."""
        return f"{self.workers} x {self.pool} x {self.threads}"


@dataclass(frozen=True)
class Peer:
    """One server: its folder's name, the settings worth trying, its command, and its form of a request.

    `command` gets the interpreter of the peer's environment and the setting; `{port}` stands for the port.
    """

    name: str
    title: str
    settings: Callable[[int], Sequence[Setting]]
    command: Callable[[Path, Setting], Sequence[str]]
    encode: raw_requests.Encode
    ready: str = "/health"
    environment: tuple[tuple[str, str], ...] = ()


def alone(cores: int) -> Setting:
    """One photo at a time, with all cores: the quickest for a lone client."""
    return Setting(1, 1, cores)


def pooled(cores: int) -> Setting:
    """As many photos as cores in one process, each with one thread: the most for its memory."""
    return Setting(1, cores, 1)


def forked(cores: int) -> Setting:
    """A process for each core, each with one thread: nothing is shared, the interpreter's lock neither."""
    return Setting(cores, 1, 1)


def _uvicorn(python: Path, setting: Setting) -> list[str]:
    options = ["--host", HOST, "--port", "{port}", "--no-access-log", "--log-level", "warning"]
    workers = ["--workers", str(setting.workers)] if setting.workers > 1 else []
    return [str(python), "-m", "uvicorn", "server:app", *options, *workers]


def _litserve(python: Path, _: Setting) -> list[str]:
    return [str(python), "server.py", "{port}"]


def _bentoml(python: Path, _: Setting) -> list[str]:
    return [str(python), "-m", "bentoml", "serve", "server:Photos", "--host", HOST, "--port", "{port}"]


def _mlserver(python: Path, _: Setting) -> list[str]:
    return [str(python.with_name("mlserver")), "start", "."]


PEERS = (
    Peer(REPLACED, "replaced stack: FastAPI + torch FP32", lambda cores: [alone(cores), pooled(cores)], _uvicorn,
         raw_requests.form("/predict")),
    Peer("fastapi-onnxruntime", "FastAPI + onnxruntime", lambda cores: [alone(cores), pooled(cores), forked(cores)],
         _uvicorn, raw_requests.form("/predict")),
    Peer("fastapi-openvino", "FastAPI + OpenVINO", lambda cores: [alone(cores), pooled(cores), forked(cores)],
         _uvicorn, raw_requests.form("/predict")),
    Peer("litserve", "LitServe + onnxruntime", lambda cores: [alone(cores), forked(cores)], _litserve,
         raw_requests.form("/predict")),
    Peer("bentoml", "BentoML + onnxruntime", lambda cores: [alone(cores), pooled(cores), forked(cores)], _bentoml,
         raw_requests.form("/predict"), ready="/readyz", environment=(("BENTOML_DO_NOT_TRACK", "True"),)),
    # Without workers of its own (0) MLServer answers in one process: its default, 1, hands each request to another.
    Peer("mlserver", "MLServer + onnxruntime",
         lambda cores: [Setting(0, 1, cores), Setting(0, cores, 1), forked(cores)], _mlserver,
         raw_requests.kserve_json("/v2/models/photos/infer"), ready="/v2/models/photos/ready",
         environment=(("MLSERVER_HOST", HOST), ("MLSERVER_HTTP_PORT", "{port}"), ("MLSERVER_GRPC_PORT", "0"),
                      ("MLSERVER_METRICS_ENDPOINT", ""), ("MLSERVER_DEBUG", "false"))),
)  # fmt: skip


def requirements_of(name: str) -> Path:
    """What the environment of the peer `name` is made of."""
    return HERE / name / "requirements.txt"


def recipe(peer: Peer, setting: Setting, folder: Path, bundle: Bundle) -> Recipe:
    """How to start `peer`, whose environment is `folder`, with the bundle's INT8 file."""
    spec = bundle.manifest.input
    return Recipe(
        name=peer.title,
        command=peer.command(python_of(folder), setting),
        ready=peer.ready,
        environment={
            "PYTHONPATH": str(HERE / "shared"),
            "MODEL": str(bundle.model.resolve()),
            "SIZE": str(spec.height),
            "LABELS": ",".join(bundle.manifest.labels),
            "WORKERS": str(setting.workers),
            "POOL": str(setting.pool),
            "THREADS": str(setting.threads),
            "MLSERVER_PARALLEL_WORKERS": str(setting.workers),
            **dict(peer.environment),
        },
        folder=HERE / peer.name,
    )


def our_recipe(bundle: Bundle) -> Recipe:
    """The appliance of this checkout, as it comes: it finds its settings by itself."""
    return appliance(bundle.path, name=f"{OURS}, {bundle.manifest.input.height} px")
