"""Requests that are small to send and ask for very much work: each is refused before the work is begun."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from runtime.api.requests.form import MAX_TEXT_BYTES
from runtime.api.v2.tensors import SHORT_BYTES
from tests.support.appliances.following import ADMIN, ENTRY, metric
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import encode, photo
from tests.support.waiting import PATIENT

INFER = "/v2/models/colours/infer"
PIXEL = encode(Image.new("RGB", (200, 200), (90, 140, 60)), "WEBP", lossless=True)
NUMBERS = 32 * 32 * 3
PHOTOS_IN_JSON = 8  # a batch of the model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """A small budget for each request, so that nothing here is hard work where it is not refused."""
    folder: Path = tmp_path_factory.mktemp("bounded")
    settings = PATIENT | {
        "DANDELION_MAX_REQUEST_MEGAPIXELS": "5",
        "DANDELION_DATA": str(folder / "data"),
        "DANDELION_ADMIN_KEYS": ENTRY,
    }
    with appliance(folder, "--bundle", str(write_bundle(folder / "v7")), **settings) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def batch(server: Appliance, photos: list[bytes]) -> httpx.Response:
    return httpx.post(server.url + "/predict/batch", files=[("files", ("a", data)) for data in photos], timeout=120)


def infer(server: Appliance, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(server.url + INFER, content=content, headers=headers, timeout=120)


def pixels(data: object, photos: int = 1) -> dict[str, object]:
    return {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [photos, 32, 32, 3], "data": data}]}


def rejected(server: Appliance, reason: str) -> float:
    return metric(server, "dandelion_rejections_total", reason=reason)


def test_a_batch_of_128_webps_of_one_colour_is_refused_and_counted(server: Appliance) -> None:
    before, decoded = rejected(server, "cost"), metric(server, "dandelion_predictions_total")
    answer = batch(server, [PIXEL] * 128)
    assert answer.status_code == 413
    assert answer.json() == {
        "status_code": 413,
        "detail": "decoding the photos of this request takes the work of 6 megapixels, more than the 5 accepted at "
        "once; send fewer photos in each request, or smaller ones",
    }
    assert rejected(server, "cost") == before + 1
    assert metric(server, "dandelion_predictions_total") == decoded


def test_fewer_of_them_are_answered(server: Appliance) -> None:
    answer = batch(server, [PIXEL] * 100)
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 100


def test_the_photos_of_a_tensor_are_bounded_alike(server: Appliance) -> None:
    tensor = {"name": "photos", "datatype": "BYTES", "shape": [128]}
    as_text = infer(server, {"inputs": [tensor | {"data": [base64.b64encode(PIXEL).decode()] * 128}]})
    raw = (struct.pack("<I", len(PIXEL)) + PIXEL) * 128
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    as_bytes = infer(server, head + raw, **{"inference-header-content-length": str(len(head))})
    for answer in (as_text, as_bytes):
        assert answer.status_code == 413
        assert answer.json().keys() == {"error"}
        assert "the work of 6 megapixels, more than the 5 accepted" in answer.json()["error"]


def test_a_tensor_has_no_more_photos_than_its_shape_says(server: Appliance) -> None:
    tensor = {"name": "photos", "datatype": "BYTES", "shape": [1]}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": 4_000_000}}]}).encode()
    empty = infer(server, head + bytes(4_000_000), **{"inference-header-content-length": str(len(head))})
    assert (empty.status_code, "but more photos came" in empty.text) == (400, True)
    many = infer(server, {"inputs": [tensor | {"data": ["", "", ""]}]})
    assert (many.status_code, "but more photos came" in many.text) == (400, True)


def lists(count: int) -> bytes:
    return b'{"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,32,32,3],"data":[' + b"[]," * count + b"[]]}]}"


def test_json_with_more_elements_than_the_largest_tensor_is_refused_and_counted(server: Appliance) -> None:
    before = rejected(server, "json")
    answer = infer(server, lists(6_900_000))
    assert (answer.status_code, answer.json()) == (
        413,
        {"error": f"the JSON has more than the {PHOTOS_IN_JSON * NUMBERS} numbers accepted; send a binary tensor"},
    )
    many = infer(server, pixels([7] * (40 * NUMBERS), 40))
    assert many.status_code == 413
    assert rejected(server, "json") == before + 2


def test_lists_in_place_of_numbers_are_no_tensor(server: Appliance) -> None:
    answer = infer(server, lists(NUMBERS - 1))
    assert (answer.status_code, "`data` is not 3072 integers of 0..255" in answer.text) == (400, True)


def test_much_json_beside_the_data_is_refused(server: Appliance) -> None:
    for more in ({"id": "x" * 2 * SHORT_BYTES}, {"outputs": [{"name": "label"}] * 10_000}):
        answer = infer(server, pixels([7] * NUMBERS) | more)
        assert answer.status_code == 413, answer.text
        assert answer.json()["error"].startswith("beside the data there are ")


def test_a_tensor_may_be_flat_or_nested_as_its_shape_says(server: Appliance) -> None:
    flat = list(range(256)) * 96
    nested = [
        [[flat[at : at + 3] for at in range(row, row + 96, 3)] for row in range(start, start + NUMBERS, 96)]
        for start in range(0, 8 * NUMBERS, NUMBERS)
    ]
    by_photo = [flat[start : start + NUMBERS] for start in range(0, 8 * NUMBERS, NUMBERS)]
    answers = [infer(server, pixels(data, 8)) for data in (flat, nested, by_photo)]
    indented = infer(server, json.dumps(pixels(flat, 8), indent=1).encode())
    assert [answer.status_code for answer in (*answers, indented)] == [200] * 4
    assert len({answer.text for answer in (*answers, indented)}) == 1


@pytest.mark.parametrize(
    "data",
    [
        [0.5] * NUMBERS,
        [-1] * NUMBERS,
        [True] * NUMBERS,
        ["7"] * NUMBERS,
        [None] * NUMBERS,
        [10**30] * NUMBERS,
        [256] * NUMBERS,
        [7] * (NUMBERS - 1),
        [[7, 8], *[7] * (NUMBERS - 2)],
        "7",
        {"7": 7},
        7,
        None,
        [],
    ],
)
def test_what_is_no_tensor_of_bytes_is_refused(server: Appliance, data: object) -> None:
    answer = infer(server, pixels(data))
    assert answer.status_code == 400, answer.text
    assert "`data` is not 3072 integers of 0..255" in answer.json()["error"]


def form(server: Appliance, label: bytes, kind: str, path: str = "/feedback") -> httpx.Response:
    files = {"file": ("a.jpg", photo(), "image/jpeg"), "label": (None, label, kind)}
    return httpx.post(server.url + path, files=files, timeout=120)


@pytest.mark.parametrize("path", ["/feedback", "/predict", "/predict/batch", "/explain"])
def test_a_text_field_is_short_and_in_a_usual_character_set(server: Appliance, path: str) -> None:
    """`punycode` takes the square of the length: hours for a field of 20 MB."""
    for label, kind in (
        (b"abc-" + b"a" * 1000, "text/plain; charset=punycode"),
        (b"grass", "text/plain; charset=unicode_escape"),
        (b"x" * (MAX_TEXT_BYTES + 1), "text/plain"),
    ):
        answer = form(server, label, kind, path)
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"].startswith("the form cannot be read; send ")


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "text/plain; charset=ISO-8859-1"])
def test_usual_character_sets_are_read(server: Appliance, kind: str) -> None:
    assert form(server, b"grass", kind).status_code == 202


def test_a_form_in_the_address_bars_encoding_is_not_read(server: Appliance) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = httpx.post(server.url + "/feedback", content=b"label=grass&" * 100_000, headers=headers)
    assert (answer.status_code, "the form lacks the photo or the label" in answer.text) == (400, True)


def test_a_pin_is_short(server: Appliance) -> None:
    long = httpx.post(server.url + "/models/pin", json={"version": None, "x": "y" * 10_000}, headers=ADMIN)
    assert long.status_code == 413
    assert long.json() == {
        "status_code": 413,
        "detail": 'the request is larger than the 4096 bytes accepted; send {"version": "…"}',
    }
