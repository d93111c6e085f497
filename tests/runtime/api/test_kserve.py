"""The Open Inference Protocol, asked by NVIDIA's own client."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from runtime.api.app import App
from runtime.api.security.keys import new_key, read_keys
from runtime.bundle.manifest import Bundle
from runtime.image import ImageSpec, decode
from runtime.serving.appliance import Appliance as LocalAppliance
from runtime.serving.engine import Engine
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.settings import Settings
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import half_with_end, photo

MODEL = "colours"
SPEC = ImageSpec(height=32, width=32)
INFER = f"/v2/models/{MODEL}/infer"

# geventhttpclient, which tritonclient uses, leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("kserve")
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7"))) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Appliance) -> Iterator[Any]:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    yield client
    client.close()


def pixels() -> NDArray[np.uint8]:
    return np.stack([decode(photo(label), SPEC) for label in ("dandelion", "grass", "dandelion")])


def input_of(values: NDArray[Any], name: str, datatype: str, *, binary: bool = True) -> Any:
    tensor = triton.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def expected(server: Appliance, data: bytes) -> list[float]:
    answer = httpx.post(server.url + "/predict", files={"file": data}).json()
    return list(answer["probabilities"].values())


def test_the_client_sees_that_server_and_model_live_and_are_ready(client: Any):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "v7")
    assert not client.is_model_ready("another")
    assert not client.is_model_ready(MODEL, "v8")


def test_the_client_reads_the_metadata(client: Any):
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "model_configuration", "statistics"]
    metadata = client.get_model_metadata(MODEL)
    assert metadata["versions"] == ["v7"]
    inputs = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"]}
    assert inputs == {"pixels": ("UINT8", [-1, 32, 32, 3]), "photos": ("BYTES", [-1, 1])}
    assert {tensor["name"] for tensor in metadata["outputs"]} == {"probabilities", "activation_map", "label", "damaged"}


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_pixels_are_classified(client: Any, server: Appliance, binary_in: bool, binary_out: bool):
    outputs = [
        triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("probabilities", "activation_map")
    ]
    answer = client.infer(
        MODEL, [input_of(pixels(), "pixels", "UINT8", binary=binary_in)], outputs=outputs, request_id="7"
    )
    assert answer.get_response()["id"] == "7"
    assert answer.get_response()["model_version"] == "v7"
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.shape == (3, 2)
    assert probabilities[0] == pytest.approx(expected(server, photo("dandelion")), abs=1e-3)
    assert answer.as_numpy("activation_map").shape == (3, 2, 32, 32)


@pytest.mark.parametrize("binary_out", [True, False])
def test_encoded_photos_are_classified(client: Any, server: Appliance, binary_out: bool):
    photos = np.array([photo("grass"), photo("dandelion", format="PNG")], dtype=np.object_)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("label", "probabilities")]
    answer = client.infer(MODEL, [input_of(photos, "photos", "BYTES")], outputs=outputs)
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("label").tolist()]
    assert labels == ["grass", "dandelion"]
    assert answer.as_numpy("probabilities")[0] == pytest.approx(expected(server, photo("grass")), abs=1e-3)


@pytest.mark.parametrize("binary_out", [True, False])
def test_damaged_photos_are_told_from_whole_ones(client: Any, binary_out: bool):
    photos = np.array([photo("grass"), half_with_end(photo(size=(300, 200)))], dtype=np.object_)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("label", "damaged")]
    answer = client.infer(MODEL, [input_of(photos, "photos", "BYTES")], outputs=outputs)
    assert answer.as_numpy("damaged").tolist() == [False, True]
    assert answer.get_response()["parameters"] == {"damaged": True}
    whole = client.infer(MODEL, [input_of(photos[:1], "photos", "BYTES")], outputs=outputs)
    assert whole.as_numpy("damaged").tolist() == [False]
    assert "parameters" not in whole.get_response()


def test_without_named_outputs_all_come(client: Any):
    answer = client.infer(MODEL, [input_of(pixels(), "pixels", "UINT8")], model_version="v7")
    assert answer.as_numpy("probabilities").shape == (3, 2)
    assert answer.as_numpy("activation_map").shape == (3, 2, 32, 32)
    assert answer.as_numpy("label").tolist() == [b"dandelion", b"grass", b"dandelion"]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        (f"/v2/models/{MODEL}/ready", {"name": MODEL, "ready": True}),
        (f"/v2/models/{MODEL}/versions/v7/ready", {"name": MODEL, "ready": True}),
    ],
)
def test_health_is_told_as_both_official_clients_read_it(server: Appliance, path: str, answer: dict[str, object]):
    """tritonclient reads the status, `kserve` 0.21 the fields `live` and `ready`."""
    assert httpx.get(server.url + path).json() == answer


@pytest.mark.parametrize("binary", [True, False])
def test_photos_come_in_one_dimension_or_two(client: Any, binary: bool):
    labels = []
    for shape in ([2], [2, 1]):
        photos = np.array([photo("dandelion"), photo("grass")], object).reshape(shape)
        given = triton.InferInput("photos", shape, "BYTES")
        if binary:
            given.set_data_from_numpy(photos, binary_data=True)
        else:
            texts = np.array([base64.b64encode(one).decode() for one in photos.ravel()], object).reshape(shape)
            given.set_data_from_numpy(texts, binary_data=False)
        labels.append(client.infer(MODEL, [given]).as_numpy("label").tolist())
    assert labels[0] == labels[1]


def test_the_configuration_is_that_of_the_metadata(client: Any):
    config = client.get_model_config(MODEL, "v7")
    assert (config["name"], config["max_batch_size"]) == (MODEL, 128)
    assert {tensor["name"]: (tensor["data_type"], tensor["dims"]) for tensor in config["input"] + config["output"]} == {
        "pixels": ("TYPE_UINT8", [32, 32, 3]),
        "photos": ("TYPE_STRING", [1]),
        "probabilities": ("TYPE_FP32", [2]),
        "activation_map": ("TYPE_FP32", [2, -1, -1]),
        "label": ("TYPE_STRING", []),
        "damaged": ("TYPE_BOOL", []),
    }
    assert all(tensor["optional"] for tensor in config["input"])


def test_the_statistics_count_what_was_asked(client: Any, server: Appliance):
    client.infer(MODEL, [input_of(pixels(), "pixels", "UINT8")])
    [before] = client.get_inference_statistics()["model_stats"]
    client.infer(MODEL, [input_of(pixels(), "pixels", "UINT8")])
    post(server, b"{")
    [after] = client.get_inference_statistics(MODEL, "v7")["model_stats"]
    assert (after["name"], after["serving"], after["version"]) == (MODEL, "v7", "1")
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 1
    assert after["last_inference"] >= before["last_inference"] > 0
    grown = {
        name: {key: value - before["inference_stats"][name][key] for key, value in duration.items()}
        for name, duration in after["inference_stats"].items()
    }
    assert {name: duration["count"] for name, duration in grown.items()} == {
        "success": 1,
        "fail": 1,
        "queue": 1,
        "compute_input": 1,
        "compute_infer": 1,
        "compute_output": 1,
        "cache_hit": 0,
        "cache_miss": 0,
    }
    stages = sum(grown[name]["ns"] for name in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert stages == pytest.approx(grown["success"]["ns"], abs=4)
    assert grown["compute_infer"]["ns"] > 0


def post(server: Appliance, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(server.url + INFER, content=content, headers=headers)


def photos_request(**changes: object) -> dict[str, Any]:
    data = [base64.b64encode(photo()).decode()]
    return {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [1], "data": data} | changes]}


def test_photos_may_come_as_base64_in_json(server: Appliance):
    answer = post(server, photos_request() | {"outputs": [{"name": "label"}]}).json()
    assert answer["outputs"] == [{"name": "label", "datatype": "BYTES", "shape": [1], "data": ["dandelion"]}]


FLAT = [0] * (32 * 32 * 3)


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"{", {}, "is not JSON of an inference request"),
        (b"\xff\xfe", {}, "is not JSON"),
        ({"inputs": []}, {}, "send one input"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}, {}, "send one input"),
        (photos_request(datatype="FP32"), {}, "BYTES is expected"),
        (photos_request(shape=[2]), {}, "but 1 photos came"),
        (photos_request(shape=[-1]), {}, "has not 1 dimensions"),
        (photos_request(shape=[]), {}, "in a batch dimension"),
        (photos_request(shape=[500]), {}, "at most 128 photos"),
        (photos_request(data=["not base64!"]), {}, "not a list of photos in base64"),
        (photos_request(data=None), {}, "not a list of photos in base64"),
        (photos_request(data=[base64.b64encode(b"text").decode()]), {}, "photo 0: the file is not a photo"),
        (photos_request(parameters={"binary_data_size": 10}), {}, "binary_data_size is 10, 0 bytes"),
        (photos_request() | {"outputs": [{"name": "secrets"}]}, {}, "no output 'secrets'; ask for probabilities"),
        (
            {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 9, 9, 3], "data": [0] * 243}]},
            {},
            r"not \[N, 32, 32, 3\]",
        ),
        (
            {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [0]}]},
            {},
            "3072 integers",
        ),
        (
            {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [*FLAT[1:], 256]}]},
            {},
            "integers of 0..255",
        ),
        (
            {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": [[1], [2, 3]]}]},
            {},
            "integers of 0..255",
        ),
        (photos_request(), {"inference-header-content-length": "99999999"}, "Inference-Header-Content-Length"),
        (photos_request(), {"inference-header-content-length": "x"}, "Inference-Header-Content-Length"),
        (
            photos_request(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 9}),
            {},
            "input 'photos': the parameter `shared_memory_region` is not offered here; send the tensor",
        ),
        (
            photos_request() | {"outputs": [{"name": "label", "parameters": {"shared_memory_region": "r"}}]},
            {},
            "output 'label': the parameter `shared_memory_region` is not offered",
        ),
        (
            photos_request() | {"outputs": [{"name": "probabilities", "parameters": {"classification": 1}}]},
            {},
            "output 'probabilities': the parameter `classification` is not offered here; ask for the output `label`",
        ),
        (photos_request() | {"parameters": {"sequence_id": 7}}, {}, "the request: the parameter `sequence_id`"),
    ],
)
def test_what_the_protocol_does_not_allow_is_refused_in_its_own_shape(
    server: Appliance, body: object, headers: dict[str, str], message: str
):
    answer = post(server, body, **headers)
    assert answer.status_code == 400, answer.text
    assert answer.json().keys() == {"error"}
    assert re.search(message, answer.json()["error"]), answer.text


def test_bytes_that_belong_to_no_input_are_refused(server: Appliance):
    head = json.dumps(photos_request()).encode()
    answer = post(server, head + b"more", **{"inference-header-content-length": str(len(head))})
    assert answer.status_code == 400
    assert "4 bytes at the end of the body belong to no input" in answer.json()["error"]


def test_an_unknown_model_is_said_to_be_unknown(client: Any, server: Appliance):
    with pytest.raises(InferenceServerException, match="another does not serve here; colours v7 does"):
        client.get_model_metadata("another")
    answer = httpx.post(server.url + f"/v2/models/{MODEL}/versions/v8/infer", json=photos_request())
    assert (answer.status_code, answer.json()) == (404, {"error": "colours v8 does not serve here; colours v7 does"})


def test_what_the_clients_offer_beyond_that_is_refused_by_name(client: Any):
    wanted = [triton.InferRequestedOutput("probabilities", class_count=2)]
    with pytest.raises(InferenceServerException, match="`classification` is not offered"):
        client.infer(MODEL, [input_of(pixels(), "pixels", "UINT8")], outputs=wanted)
    with pytest.raises(InferenceServerException, match="there is no '/v2/systemsharedmemory/region/r/register'"):
        client.register_system_shared_memory("r", "/r", 64)
    for algorithm in ("gzip", "deflate"):
        with pytest.raises(InferenceServerException, match=f"is compressed .`Content-Encoding: {algorithm}`"):
            client.infer(MODEL, [input_of(pixels(), "pixels", "UINT8")], request_compression_algorithm=algorithm)


@pytest.mark.parametrize("path", [INFER, "/predict", "/predict/batch", "/explain"])
def test_a_compressed_body_is_refused_by_name_on_every_route(server: Appliance, path: str):
    kinds = {"/predict/batch": "multipart/form-data; boundary=x"}
    headers = {"content-encoding": "gzip", "content-type": kinds.get(path, "image/jpeg")}
    answer = httpx.post(server.url + path, content=gzip.compress(photo()), headers=headers)
    assert answer.status_code == 415, answer.text
    assert answer.headers["accept-encoding"] == "identity"
    assert "gzip" in answer.text
    headers["content-encoding"] = "identity"
    assert "compressed" not in httpx.post(server.url + path, content=photo(), headers=headers).text


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "message"),
    [
        ("GET", "/v2/nothing", {}, 404, "there is no '/v2/nothing'"),
        ("GET", "/v2/models/another/config", {}, 404, "another does not serve here"),
        ("DELETE", f"/v2/models/{MODEL}", {}, 405, "Method Not Allowed"),
        ("POST", INFER, {"origin": "https://elsewhere.example"}, 403, "DANDELION_CORS"),
    ],
)
def test_every_refusal_is_of_the_protocols_shape(
    server: Appliance, method: str, path: str, headers: dict[str, str], status: int, message: str
):
    answer = httpx.request(method, server.url + path, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    assert message in answer.json()["error"]


def test_too_many_bytes_are_refused_in_the_protocols_shape(server: Appliance):
    answer = post(server, bytes((20 << 20) + 1))
    assert answer.status_code == 413
    assert "larger than the 20 MiB accepted" in answer.json()["error"]


@pytest.mark.filterwarnings("ignore::litestar.exceptions.base_exceptions.LitestarDeprecationWarning")
def test_a_missing_key_and_a_stop_are_told_in_the_protocols_shape(tmp_path: Path):
    metrics = Metrics()
    _, entry = new_key()
    settings = Settings(threads=1, workers=1, api_keys=read_keys(entry, "X"))
    model = LoadedModel(Bundle.open(write_bundle(tmp_path / "v7")), threads=1, source="")
    running = LocalAppliance(settings, metrics, Engine(model, settings, metrics), None, None)
    app = App(running)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client, app.lifespan():
            refused = await client.post(INFER, content=b"{}")
            running.draining = True
            return [refused, await client.get("/v2/health/ready"), await client.get(f"/v2/models/{MODEL}/ready")]

    for answer, status in zip(asyncio.run(ask()), (401, 503, 503), strict=True):
        assert answer.status_code == status
        assert answer.json().keys() == {"error"}
