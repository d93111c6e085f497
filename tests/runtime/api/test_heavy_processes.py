"""Heavy photos and long JSON in a child process of a real appliance: the same answers, and its death is one 503."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.pictures.large_photos import flat_png
from tests.support.waiting import PATIENT, wait_until
from tests.support.web.wire import Reader, connect

INFER = "/v2/models/colours/infer"
LARGE = flat_png(4000, 3000)
NUMBERS = 32 * 32 * 3
MAX_PHOTOS = 8  # in one JSON: a batch of the model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder: Path = tmp_path_factory.mktemp("heavy")
    settings = PATIENT | {"DANDELION_HEAVY_PROCESSES": "1"}
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7")), **settings) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def predict(server: Appliance, data: bytes) -> httpx.Response:
    return httpx.post(server.url + "/predict", content=data, headers={"content-type": "image/png"}, timeout=300)


def child_of(server: Appliance) -> int | None:
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text, command = status.read_text(), (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if f"\nPPid:\t{server.process.pid}\n" in text and b"runtime.serving.offload.child" in command:
            return int(status.parent.name)
    return None


def tensor(photos: int) -> dict[str, object]:
    values = np.random.default_rng(0).integers(0, 256, photos * NUMBERS)
    return {"name": "pixels", "datatype": "UINT8", "shape": [photos, 32, 32, 3], "data": values.tolist()}


def test_a_large_photo_is_answered_by_a_child_and_a_small_one_starts_none(server: Appliance) -> None:
    assert predict(server, photo()).status_code == 200
    answer = predict(server, LARGE)
    assert answer.status_code == 200, answer.text
    assert child_of(server) is not None
    assert metric(server, "dandelion_heavy_processes") == 1
    assert "heavy photos and long JSON: child processes, at most 1" in server.log.read_text()


def test_a_child_that_dies_is_one_503_and_the_next_large_photo_is_answered(server: Appliance) -> None:
    predict(server, LARGE)
    before = metric(server, "dandelion_rejections_total", reason="child_died")
    child = child_of(server)
    assert child is not None
    os.kill(child, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(predict, server, LARGE)
        wait_until(lambda: metric(server, "dandelion_decoding_bytes") > 0, "the child has the photo")
        os.kill(child, signal.SIGKILL)
        answer = asked.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "ended; send it again in 1 s, or a smaller photo" in answer.json()["detail"]
    assert metric(server, "dandelion_rejections_total", reason="child_died") == before + 1
    assert predict(server, LARGE).status_code == 200
    assert child_of(server) not in {None, child}


def test_one_that_dies_idle_is_noticed_by_nobody(server: Appliance) -> None:
    predict(server, LARGE)
    child = child_of(server)
    assert child is not None
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: ") Z " in Path(f"/proc/{child}/stat").read_text(), "the child has ended")
    assert predict(server, LARGE).status_code == 200


def test_small_photos_are_answered_while_the_child_stands_still(server: Appliance) -> None:
    predict(server, LARGE)
    child = child_of(server)
    assert child is not None
    os.kill(child, signal.SIGSTOP)
    waiting = threading.Thread(target=predict, args=(server, LARGE))
    waiting.start()
    for _ in range(10):
        assert predict(server, photo()).status_code == 200
    assert waiting.is_alive()
    os.kill(child, signal.SIGCONT)
    waiting.join()


def test_long_json_is_read_by_a_child_and_answered_as_binary_is(server: Appliance) -> None:
    values = tensor(MAX_PHOTOS)
    body = json.dumps({"inputs": [values], "id": "7"}).encode()
    assert len(body) > 1 << 16
    answer = httpx.post(server.url + INFER, content=body, timeout=300)
    assert answer.status_code == 200, answer.text
    raw = np.array(values["data"], np.uint8).tobytes()
    head = json.dumps({"inputs": [values | {"data": [], "parameters": {"binary_data_size": len(raw)}}]}).encode()
    head = head.replace(b'"data": [], ', b"")
    length = {"inference-header-content-length": str(len(head))}
    binary = httpx.post(server.url + INFER, content=head + raw, headers=length, timeout=300)
    assert answer.json()["outputs"] == binary.json()["outputs"]
    assert answer.json()["id"] == "7"


@pytest.mark.parametrize("wrong", [256, "a", None, 1.5])
def test_what_is_wrong_with_long_json_is_said(server: Appliance, wrong: object) -> None:
    values = tensor(MAX_PHOTOS)
    values["data"] = [*values["data"][:-1], wrong]  # type: ignore[index]
    answer = httpx.post(server.url + INFER, json={"inputs": [values]}, timeout=300)
    assert answer.status_code == 400
    assert answer.json()["error"] == f"input 'pixels': `data` is not {MAX_PHOTOS * NUMBERS} integers of 0..255"


def test_json_of_too_many_numbers_is_refused_before_it_has_come(server: Appliance) -> None:
    start = b'{"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,32,32,3],"data":['
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20000000\r\n\r\n"
    with connect(server) as sock:
        sock.sendall(head % INFER.encode() + start + b"7," * 200_000)
        answer = Reader(sock).answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert answer.json["error"] == f"the JSON has more than the {MAX_PHOTOS * NUMBERS} numbers accepted; " \
            "send a binary tensor"  # fmt: skip


def test_what_is_refused_is_read_no_faster_than_it_is_worth(server: Appliance) -> None:
    """Whoever goes on to send 20 MB that were refused is kept to some MB/s, and loses nothing of the answer."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 20000000\r\n\r\n"
    with connect(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        sock.sendall(head + bytes(20_000_000))
        assert Reader(sock).answer().status == 415


def test_the_child_ends_with_the_appliance(tmp_path: Path) -> None:
    settings = PATIENT | {"DANDELION_HEAVY_PROCESSES": "1"}
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v7")), **settings) as running:
        predict(running, LARGE)
        child = child_of(running)
        assert child is not None
        running.process.kill()
        wait_until(lambda: not Path(f"/proc/{child}/exe").exists(), "the child has ended")


def test_without_a_child_threads_do_the_work(tmp_path: Path) -> None:
    settings = PATIENT | {"DANDELION_HEAVY_PROCESSES": "0"}
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v7")), **settings) as running:
        assert predict(running, LARGE).status_code == 200
        assert httpx.post(running.url + INFER, json={"inputs": [tensor(MAX_PHOTOS)]}, timeout=300).status_code == 200
        assert child_of(running) is None
        assert "heavy photos and long JSON: threads" in running.log.read_text()
