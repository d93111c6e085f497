"""What the API answers to a photo of none of the labels, by a model that has the unknown class."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image

from runtime.store import open_store
from tests.support.appliances.corrections import send
from tests.support.appliances.following import metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import UNKNOWN_FROM_HALF, write_bundle
from tests.support.photos import encode, half_with_end, photo, violet

JPEG = {"content-type": "image/jpeg"}
LABELS = {"dandelion", "grass"}

# geventhttpclient, which tritonclient uses, leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corrections")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("unknown")
    bundle = write_bundle(folder / "v7", unknown=UNKNOWN_FROM_HALF)
    with appliance(folder, "--bundle", str(bundle), DANDELION_DATA=str(kept)) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Appliance) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """An appliance whose model knows its labels alone."""
    folder = tmp_path_factory.mktemp("closed")
    bundle = str(write_bundle(folder / "v1"))
    with appliance(folder, "--bundle", bundle, DANDELION_DATA=str(folder / "data")) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def post(client: httpx.Client, data: bytes, route: str = "/predict", **headers: str) -> Any:
    return client.post(route, content=data, headers=JPEG | headers).raise_for_status().json()


def assert_unknown(answer: dict[str, Any]) -> None:
    assert (answer["label"], answer["unknown"], answer["uncertain"]) == (None, True, False)
    assert answer["confidence"] == answer["unknown_probability"] > 0.9
    assert answer["probabilities"].keys() == LABELS
    assert sum(answer["probabilities"].values()) + answer["unknown_probability"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("size", [(96, 72), (1600, 1200)])  # on the event loop, in a thread
@pytest.mark.parametrize("route", ["/predict", "/models/v7/predict", "/explain"])
def test_a_photo_of_none_of_the_labels_is_unknown(client: httpx.Client, route: str, size: tuple[int, int]):
    assert_unknown(post(client, violet(size), route))


@pytest.mark.parametrize("label", sorted(LABELS))
def test_a_photo_of_a_label_is_not(client: httpx.Client, label: str):
    answer = post(client, photo(label))
    assert (answer["label"], answer["unknown"]) == (label, False)
    assert answer["confidence"] == answer["probabilities"][label]
    assert sum(answer["probabilities"].values()) + answer["unknown_probability"] == pytest.approx(1, abs=1e-3)


def test_a_batch_tells_which_of_its_photos_are_unknown(client: httpx.Client):
    files = [("files", data) for data in (photo("grass"), violet(), half_with_end(violet((300, 200))), b"text")]
    results = client.post("/predict/batch", files=files).json()["results"]
    assert [result["prediction"] and result["prediction"]["label"] for result in results] == ["grass", None, None, None]
    assert_unknown(results[1]["prediction"])
    assert (results[2]["prediction"]["unknown"], results[2]["prediction"]["damaged"]) == (True, True)
    assert results[3]["error"]["status_code"] == 415


def test_the_evidence_for_none_of_the_labels_is_shown(client: httpx.Client):
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:32] = (90, 0, 255)  # violet above: the evidence for other things
    halves[32:] = (0, 90, 0)
    body = post(client, encode(Image.fromarray(halves), quality=95), "/explain")
    assert (body["label"], body["explained"], body["unknown"]) == (None, "(unknown)", True)
    strength = np.array(body["activation_map"])
    assert strength[:14].mean() > 5 * strength[18:].mean()


@pytest.mark.parametrize(
    ("data", "query", "label", "explained"),
    [
        (violet(), {}, "(unknown)", "(unknown)"),
        (violet(), {"label": "grass"}, "(unknown)", "grass"),
        (photo(), {"label": "(unknown)"}, "dandelion", "(unknown)"),
    ],
)
def test_a_picture_says_in_its_headers_what_it_shows(
    client: httpx.Client, data: bytes, query: dict[str, str], label: str, explained: str
):
    answer = client.post("/explain", content=data, params=query, headers=JPEG | {"accept": "image/png"})
    assert (answer.headers["x-label"], answer.headers["x-explained"]) == (label, explained)
    assert Image.open(io.BytesIO(answer.content)).size == (96, 72)


def test_without_the_unknown_class_there_is_no_such_evidence_and_no_such_answer(closed: Appliance):
    with httpx.Client(base_url=closed.url) as client:
        answer = post(client, violet())
        assert (answer["unknown"], answer["label"] in LABELS) == (False, True)
        assert "unknown_probability" not in answer
        refused = client.post("/explain", content=photo(), params={"label": "(unknown)"}, headers=JPEG)
        assert refused.status_code == 404
        assert refused.json()["detail"] == "there is no label '(unknown)'; choose dandelion, grass"
        assert 'label="(unknown)"' not in client.get("/metrics").text
        assert client.get("/models").json()["versions"][0]["unknown"] is False
        assert "unknown" not in client.get("/model").json()["manifest"]


def test_the_model_says_that_it_has_it(client: httpx.Client):
    manifest = client.get("/model").json()["manifest"]
    assert (manifest["schema_version"], manifest["unknown"]) == (2, {"threshold": 0.5})
    assert manifest["labels"] == ["dandelion", "grass"]
    [version] = client.get("/models").json()["versions"]
    assert (version["version"], version["unknown"], version["labels"]) == ("v7", True, ["dandelion", "grass"])
    assert client.get("/health").json()["status"] == "ok"


def unknown(server: Appliance, traffic: str = "use") -> float:
    return metric(server, "dandelion_predictions_total", label="(unknown)", uncertain="false", traffic=traffic)


def test_unknown_photos_are_counted_under_their_name_and_not_in_confidence(tmp_path: Path):
    bundle = write_bundle(tmp_path / "v7", unknown=UNKNOWN_FROM_HALF)
    with appliance(tmp_path, "--bundle", str(bundle)) as server, httpx.Client(base_url=server.url) as client:
        text = client.get("/metrics").text
        series = 'dandelion_predictions_total{label="(unknown)",traffic="%s",uncertain="false"} 0.0'
        assert all(series % traffic in text for traffic in ("use", "measurement"))
        assert 'label="(unknown)",traffic="use",uncertain="true"' not in text
        post(client, violet())
        post(client, violet(), **{"x-traffic": "measurement"})
        post(client, photo())
        assert (unknown(server), unknown(server, "measurement")) == (1, 1)
        assert metric(server, "dandelion_confidence_count") == 1


@pytest.mark.parametrize("known", [True, False])
def test_none_of_these_is_a_correction_with_every_model(server: Appliance, closed: Appliance, kept: Path, known: bool):
    asked = server if known else closed
    answer = send(asked, photo(seed=3), "(unknown)", predicted="dandelion")
    assert (answer.status_code, answer.json()["label"]) == (202, "(unknown)")
    folder = kept if known else closed.log.parent / "data"
    keys = [entry.key for entry in open_store(str(folder)).list("feedback/colours/(unknown)/")]
    assert f"feedback/colours/(unknown)/{answer.json()['id']}.jpeg" in keys


def test_a_label_that_is_none_is_refused_with_that_choice(server: Appliance):
    refused = send(server, photo(), "daisy")
    assert refused.status_code == 404
    assert (
        refused.json()["detail"] == "there is no label 'daisy'; choose dandelion, grass, or (unknown) for none of them"
    )


def infer(client: httpx.Client, *outputs: str, data: bytes = b"") -> httpx.Response:
    photos = [base64.b64encode(one).decode() for one in (data or violet(), photo("grass"))]
    body: dict[str, Any] = {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [2, 1], "data": photos}]}
    if outputs:
        body["outputs"] = [{"name": name} for name in outputs]
    return client.post("/v2/models/colours/infer", json=body)


def test_v2_has_an_output_for_it_and_leaves_those_of_the_labels_as_they_are(client: httpx.Client):
    outputs = {tensor["name"]: tensor for tensor in infer(client).json()["outputs"]}
    shapes = {name: (tensor["datatype"], tensor["shape"]) for name, tensor in outputs.items()}
    assert shapes == {
        "probabilities": ("FP32", [2, 2]),
        "activation_map": ("FP32", [2, 2, 32, 32]),
        "label": ("BYTES", [2]),
        "damaged": ("BOOL", [2]),
        "unknown": ("FP32", [2, 1]),
    }
    assert outputs["label"]["data"] == ["(unknown)", "grass"]
    other, grass = outputs["unknown"]["data"]
    assert other > 0.9
    assert grass < 0.1
    assert sum(outputs["probabilities"]["data"]) + other + grass == pytest.approx(2, abs=1e-5)


def test_v2_describes_that_output_where_it_is(client: httpx.Client, closed: Appliance):
    metadata = client.get("/v2/models/colours").json()
    assert metadata["outputs"][-1] == {"name": "unknown", "datatype": "FP32", "shape": [-1, 1]}
    assert metadata["outputs"][0] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}
    config = client.get("/v2/models/colours/config").json()
    assert config["output"][-1] == {"name": "unknown", "data_type": "TYPE_FP32", "dims": [1]}
    with httpx.Client(base_url=closed.url) as other:
        names = [output["name"] for output in other.get("/v2/models/colours").json()["outputs"]]
        assert names == ["probabilities", "activation_map", "label", "damaged"]
        assert [output["name"] for output in infer(other).json()["outputs"]] == names
        refused = infer(other, "unknown")
        assert refused.status_code == 400
        assert refused.json()["error"] == f"there is no output 'unknown'; ask for {', '.join(names)}"


def test_v2_gives_that_output_to_a_client_in_binary(server: Appliance):
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    given = triton.InferInput("photos", [2, 1], "BYTES")
    given.set_data_from_numpy(np.array([[photo()], [violet()]], object), binary_data=True)
    wanted = [triton.InferRequestedOutput(name, binary_data=True) for name in ("unknown", "probabilities")]
    answer = client.infer("colours", [given], outputs=wanted)
    unknown, probabilities = answer.as_numpy("unknown"), answer.as_numpy("probabilities")
    assert (unknown.shape, probabilities.shape) == ((2, 1), (2, 2))
    np.testing.assert_allclose(unknown[:, 0] + probabilities.sum(1), 1, atol=1e-5)
    assert unknown.argmax() == 1
    client.close()


def test_the_document_says_what_may_be_missing_from_an_answer(client: httpx.Client):
    schemas = client.get("/docs/openapi.json").json()["components"]["schemas"]
    [answer] = [
        schema for name, schema in schemas.items() if name.endswith("Answer") and "label" in schema["properties"]
    ]
    properties = answer["properties"]
    assert {"type": "null"} in properties["label"]["oneOf"]
    assert properties["unknown"]["type"] == "boolean"
    assert properties["unknown_probability"] == {"oneOf": [{"type": "number"}]}
    assert "unknown_probability" not in answer["required"]
