from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
from PIL import Image

from runtime.api.header_text import header_text
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import draw_photo, encode, photo


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("batch")
    with (
        appliance(folder, "--bundle", str(write_bundle(folder / "v7"))) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        yield client


def post_batch(client: httpx.Client, *photos: tuple[str, bytes], field: str = "files") -> httpx.Response:
    return client.post("/predict/batch", files=[(field, photo) for photo in photos])


def explain(client: httpx.Client, data: bytes, accept: str = "application/json", **query: str) -> httpx.Response:
    return client.post("/explain", content=data, params=query, headers={"content-type": "image/jpeg", "accept": accept})


def picture(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.parametrize("field", ["files", "file"])
def test_each_photo_of_a_batch_gets_its_own_result_in_order(client: httpx.Client, field: str):
    answer = post_batch(client, ("a.jpg", photo("grass")), ("b.png", photo("dandelion", format="PNG")), field=field)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [(result["name"], result["prediction"]["label"]) for result in body["results"]] == [
        ("a.jpg", "grass"),
        ("b.png", "dandelion"),
    ]
    assert body["model"]["version"] == "v7"
    assert body["timings_ms"].keys() == {"decode", "infer", "total"}


def test_a_batch_says_the_same_as_single_photos(client: httpx.Client):
    photos = [photo(label, seed) for label in ("dandelion", "grass") for seed in range(12)]  # more than one batch
    together = post_batch(client, *((f"{number}.jpg", data) for number, data in enumerate(photos))).json()["results"]
    for data, result in zip(photos, together, strict=True):
        alone = client.post("/predict", files={"file": data}).json()
        assert result["prediction"]["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-3)


def test_a_bad_photo_in_a_batch_spoils_only_itself(client: httpx.Client):
    answer = post_batch(client, ("good.jpg", photo()), ("notes.txt", b"hello"), ("half.jpg", photo()[:400]))
    good, notes, half = answer.json()["results"]
    assert good["prediction"]["label"] == "dandelion"
    assert good["error"] is None
    assert notes["prediction"] is None
    assert notes["error"]["status_code"] == 415
    assert half["error"]["status_code"] == 422


def test_a_batch_of_bad_photos_only_is_answered(client: httpx.Client):
    results = post_batch(client, ("a", b"x"), ("b", b"")).json()["results"]
    assert [result["error"]["status_code"] for result in results] == [415, 415]


def test_a_batch_without_photos_or_with_too_many_is_refused(client: httpx.Client):
    assert client.post("/predict/batch", data={"a": "b"}, files={"other": b"x"}).status_code == 400
    assert client.post("/predict/batch", content=photo(), headers={"content-type": "image/jpeg"}).status_code == 415
    answer = post_batch(client, *((str(number), b"x") for number in range(129)))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the form has 129 photos; send at most 128 at once"
    answer = post_batch(client, *((str(number), b"x") for number in range(1100)))
    assert answer.status_code == 413
    assert re.fullmatch(r"the form has more than 1000 parts; send .* at most 128 at once", answer.json()["detail"])


def test_an_explanation_in_numbers_points_at_the_evidence(client: httpx.Client):
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:32] = (255, 220, 0)  # yellow above: the evidence for a dandelion
    halves[32:] = (0, 60, 40)
    body = explain(client, encode(Image.fromarray(halves), quality=95)).json()
    assert body["label"] == body["explained"] == "dandelion"
    strength = np.array(body["activation_map"])
    assert strength.shape == (32, 32)
    assert strength.max() == 1
    assert strength.min() >= 0
    assert strength[:14].mean() > 5 * strength[18:].mean()


def test_another_label_can_be_explained(client: httpx.Client):
    body = explain(client, photo("dandelion"), label="grass").json()
    assert (body["label"], body["explained"]) == ("dandelion", "grass")
    refused = explain(client, photo(), label="daisy")
    assert refused.status_code == 404
    assert "there is no label 'daisy'; choose dandelion, grass" in refused.json()["detail"]


def test_an_explanation_as_a_picture_has_the_photos_shape(client: httpx.Client):
    wide = draw_photo("dandelion", 0, (300, 100))
    blend = picture(explain(client, encode(wide), "image/png"))
    assert (blend.mode, blend.size) == ("RGB", (300, 100))
    heat = picture(explain(client, encode(wide), "image/png", layer="heat"))
    assert (heat.mode, heat.size) == ("RGBA", (300, 100))
    assert heat.getextrema()[3][1] > 150  # somewhere strong


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("image/png", "png"),
        ("IMAGE/PNG", "png"),
        ("image/*", "png"),
        ("image/png, */*;q=0.8", "png"),
        ("image/png;q=0.1, application/json", "json"),
        ("application/json;q=0.1, image/png;q=0.2", "png"),
        ("image/png;q=0, */*", "json"),
        ("application/json;q=0, */*", "png"),
        ("image/pngx", "json"),
        ('text/html;note="image/png"', "json"),
        ("image/png;q=nonsense", "png"),
        ("text/html", "json"),
        (",;,", "json"),
    ],
)
def test_the_kind_of_explanation_goes_by_the_qualities_in_accept(client: httpx.Client, accept: str, kind: str):
    answer = explain(client, photo(), accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition("/")[2] == kind


LABELS = {
    "grass": "grass",
    "\u0153illet": "UTF-8''%C5%93illet",
    "\u8349": "UTF-8''%E8%8D%89",
    "e\u0301pine": "UTF-8''e%CC%81pine",
    "\u00e9pine": "UTF-8''%C3%A9pine",
    "100 % green": "100 % green",
    "utf-8''x": "UTF-8''utf-8%27%27x",
    "blank ": "UTF-8''blank%20",
}


@pytest.mark.parametrize("label", LABELS)
def test_a_label_of_any_language_travels_in_the_headers_of_a_picture(label: str):
    text = header_text(label)
    assert text == LABELS[label]
    assert unquote(text.removeprefix("UTF-8''")) == label


def test_labels_of_any_language_are_explained_and_compared_in_one_normal_form(tmp_path: Path):
    decomposed = "e\u0301pine"
    bundle = write_bundle(
        tmp_path / "v1",
        labels=[decomposed, "\u8349"],
        reference={"labels": {decomposed: 0.5, "\u8349": 0.5}, "confidence": [0.1] * 10, "brightness": [0.1] * 10},
    )
    with (
        appliance(tmp_path, "--bundle", str(bundle), DANDELION_DATA=str(tmp_path / "data")) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        picture_of = explain(client, photo("grass"), "image/png", label="\u00e9pine")
        picture(picture_of)
        assert unquote(picture_of.headers["x-label"]) == "UTF-8''\u8349"
        assert unquote(picture_of.headers["x-explained"]) == f"UTF-8''{decomposed}"
        assert explain(client, photo(), label="\u00e9pine").json()["explained"] == decomposed
        kept = client.post("/feedback", files={"file": photo()}, data={"label": "\u00e9pine"})
        assert (kept.status_code, kept.json()["label"]) == (202, decomposed)
    assert "Traceback" not in running.log.read_text()


def test_an_explanation_stands_upright_and_is_bounded(client: httpx.Client):
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = encode(draw_photo("grass", 1, (2000, 500)), exif=exif)
    assert picture(explain(client, sideways, "image/png")).size == (256, 1024)


def test_an_unknown_layer_is_refused(client: httpx.Client):
    answer = explain(client, photo(), layer="rainbow")
    assert answer.status_code == 400
    assert "layer" in answer.text or "rainbow" in answer.text


def test_a_broken_photo_is_refused_as_everywhere(client: httpx.Client):
    assert explain(client, photo()[:300]).status_code == 422
    assert explain(client, b"text").status_code == 415
