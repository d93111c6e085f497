"""The Open Inference Protocol, asked by NVIDIA's own client."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from runtime.image import ImageSpec, decode
from tests.support.bundles import write_bundle
from tests.support.photos import photo
from tests.support.servers import Appliance, appliance

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
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata(MODEL)
    assert metadata["versions"] == ["v7"]
    inputs = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"]}
    assert inputs == {"pixels": ("UINT8", [-1, 32, 32, 3]), "photos": ("BYTES", [-1])}
    assert {tensor["name"] for tensor in metadata["outputs"]} == {"probabilities", "activation_map", "label"}


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


def test_without_named_outputs_the_probabilities_come(client: Any):
    answer = client.infer(MODEL, [input_of(pixels(), "pixels", "UINT8")], model_version="v7")
    assert answer.as_numpy("probabilities").shape == (3, 2)
    assert answer.as_numpy("label") is None


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
