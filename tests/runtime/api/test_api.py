from __future__ import annotations

import json
import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from PIL import Image
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import encode, half_with_end, photo


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("api")
    bundle = write_bundle(folder / "v7")
    with appliance(
        folder, "--bundle", str(bundle), DANDELION_MAX_UPLOAD_MB="1", DANDELION_MAX_MEGAPIXELS="2"
    ) as running:
        yield running
        assert "Traceback" not in running.log.read_text()  # no request of this module may leave a stack


@pytest.fixture(scope="module")
def client(server: Appliance) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


def send(client: httpx.Client, data: bytes, name: str = "photo.jpg") -> httpx.Response:
    return client.post("/predict", files={"file": (name, data)})


def assert_refused(answer: httpx.Response, status: int, detail: str) -> None:
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem.keys() - {"code", "values"} == {"status_code", "detail"}
    assert problem["status_code"] == status
    assert re.search(detail, problem["detail"]), problem["detail"]
    assert "server" not in answer.headers


def part(headers: bytes, body: bytes) -> bytes:
    return b"--x\r\nContent-Disposition: form-data; " + headers + b"\r\n\r\n" + body + b"\r\n--x--\r\n"


@pytest.mark.parametrize("label", ["dandelion", "grass"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_photo_as_a_form_field_is_answered(client: httpx.Client, label: str, format: str) -> None:
    body = send(client, photo(label, format=format)).json()
    assert body.keys() == {
        "label",
        "confidence",
        "probabilities",
        "uncertain",
        "unknown",
        "damaged",
        "model",
        "timings_ms",
    }
    assert body["label"] == label
    assert body["probabilities"].keys() == {"dandelion", "grass"}
    assert body["probabilities"][label] == body["confidence"] > 0.5
    assert abs(sum(body["probabilities"].values()) - 1) < 1e-3
    assert body["uncertain"] is (body["confidence"] < 0.6)
    assert body["damaged"] is False
    assert body["model"] == {"name": "colours", "version": "v7"}
    timings = body["timings_ms"]
    assert timings.keys() == {"decode", "infer", "total"}
    assert 0 < timings["decode"] + timings["infer"] <= timings["total"] + 0.01


@pytest.mark.parametrize("size", [(96, 72), (900, 700)])  # on the event loop, in a thread
def test_a_damaged_photo_is_answered_as_such_and_counted(client: httpx.Client, size: tuple[int, int]) -> None:
    def counted() -> float:
        return float(
            re.findall(r"^dandelion_damaged_photos_total (\S+)$", client.get("/metrics").text, re.MULTILINE)[0]
        )

    before, data = counted(), photo(size=size)
    headers = {"content-type": "image/jpeg"}
    body = client.post("/predict", content=half_with_end(data), headers=headers).json()
    assert body["damaged"] is True
    assert body["label"] in body["probabilities"]
    assert send(client, half_with_end(data)).json()["damaged"] is True
    batch = client.post("/predict/batch", files=[("files", half_with_end(data)), ("files", data)]).json()["results"]
    assert [result["prediction"]["damaged"] for result in batch] == [True, False]
    assert counted() == before + 3
    assert client.post("/explain", content=half_with_end(data), headers=headers).json()["damaged"] is True


def test_a_photo_without_its_end_marker_is_answered_as_the_whole_one(client: httpx.Client) -> None:
    whole, cut = send(client, photo()).json(), send(client, photo()[:-2]).json()
    assert {**cut, "timings_ms": None} == {**whole, "timings_ms": None}


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png; charset=binary", "application/octet-stream"])
def test_a_photo_as_the_raw_body_is_answered(client: httpx.Client, content_type: str) -> None:
    answer = client.post("/predict", content=photo(), headers={"content-type": content_type})
    assert answer.status_code == 200
    assert answer.json()["label"] == "dandelion"


def test_an_unsure_answer_says_so(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1", threshold=1.0)
    with appliance(tmp_path, "--bundle", str(bundle)) as strict:
        assert httpx.post(strict.url + "/predict", files={"file": photo()}).json()["uncertain"] is True


@pytest.mark.parametrize(
    "form",
    [
        {"files": {"photo": photo()}},
        {"files": {"file": (None, "only text")}},
        {"files": {"other": (None, "x")}},
    ],
)
def test_a_form_without_the_file_is_refused_with_400(client: httpx.Client, form: dict[str, object]) -> None:
    answer = client.post("/predict", **form)  # type: ignore[arg-type]
    assert_refused(answer, 400, "no file in the field `file`(: its part has no file name)?; send a JPEG, .* photo")


@pytest.mark.parametrize("name", ["file", "files"])
@pytest.mark.parametrize("filename", [b"", b'; filename=""', b"; filename*=bogus''%ff"])
@pytest.mark.parametrize("body", [photo(), photo() * 10, b"text"], ids=["photo", "long", "text"])
def test_a_part_without_a_file_name_is_told_so(client: httpx.Client, name: str, filename: bytes, body: bytes) -> None:
    content = part(b'name="%s"' % name.encode() + filename, body)
    answer = client.post("/predict", content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    assert_refused(answer, 400, f"no file in the field `{name}`: its part has no file name; send a JPEG, .* photo")


def test_a_form_of_too_many_parts_is_refused_with_413(client: httpx.Client) -> None:
    content = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 1001 + b"--x--\r\n"
    answer = client.post("/predict", content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    assert_refused(answer, 413, "the form has more than 1000 parts; send a JPEG, .* photo")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary in sight"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut',
        ),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=x", part(b"nameless", photo())),
        ("multipart/form-data; boundary=x", part(b'name="file"; filename="\xff\xfe"', photo())),
        ("multipart/form-data; boundary=x", part(b'name="text"', b"\xff\xfe")),
        ("multipart/form-data; boundary=x", part(b'name="text"\r\nContent-Type: text/plain; charset=bogus', b"text")),
        ("multipart/form-data; boundary=x", part(b'name="file"; filename="a"\r\nX: ' + b"a" * 50_000, photo())),
    ],
)
def test_a_broken_form_is_refused_with_400(client: httpx.Client, content_type: str, body: bytes) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": content_type})
    assert_refused(answer, 400, "the form cannot be read; send a JPEG, .* photo as the multipart field")


def test_an_empty_form_is_refused_with_400(client: httpx.Client) -> None:
    for body in (b"", b"--x--\r\n"):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert_refused(client.post("/predict", content=body, headers=headers), 400, "no file in the field `file`")


def test_a_damaged_form_is_never_a_fault_of_ours(client: httpx.Client) -> None:
    form = part(b'name="file"; filename="a"\r\nContent-Type: image/jpeg', photo())
    damage = random.Random(0)  # noqa: S311
    for _ in range(150):
        damaged = bytearray(form)
        damaged[damage.randrange(120)] = damage.randrange(256)
        answer = client.post(
            "/predict", content=bytes(damaged), headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code in {200, 400, 415, 422}
        if not answer.is_success:
            assert_refused(answer, answer.status_code, "; send ")


def test_a_file_that_is_no_photo_is_refused_with_415(client: httpx.Client) -> None:
    assert_refused(send(client, b"Dear appliance,", "letter.jpg"), 415, "not a photo in an accepted format; send JPEG")
    assert_refused(send(client, encode(Image.new("RGB", (9, 9)), "GIF")), 415, "a GIF, which is not accepted; send")
    assert_refused(send(client, b""), 415, "the file is empty")
    empty = client.post("/predict", content=b"", headers={"content-type": "image/jpeg"})
    assert_refused(empty, 415, "the file is empty")


def test_a_body_that_is_no_photo_is_refused_with_415(client: httpx.Client) -> None:
    for headers, detail in (
        ({"content-type": "text/plain"}, "'text/plain' is not a photo; send"),
        ({"content-type": "application/json"}, "'application/json' is not a photo"),
        ({}, "the request has no content type; send"),
    ):
        assert_refused(client.post("/predict", content=b"hello", headers=headers), 415, detail)


def test_a_truncated_jpeg_is_refused_with_422(client: httpx.Client) -> None:
    assert_refused(send(client, photo()[:-200]), 422, "the photo is broken .*; send it again")


def test_an_upload_over_the_limit_is_refused_with_413(client: httpx.Client) -> None:
    large = photo() + bytes(2**21)
    assert_refused(send(client, large), 413, "larger than the 1 MiB accepted; send a smaller photo")
    raw = client.post("/predict", content=large, headers={"content-type": "image/jpeg"})
    assert_refused(raw, 413, "larger than the 1 MiB accepted")


@pytest.mark.parametrize("content_type", ["image/jpeg", "multipart/form-data; boundary=x"])
def test_an_upload_that_does_not_say_its_length_is_refused_with_413(client: httpx.Client, content_type: str) -> None:
    pieces = (bytes(100_000) for _ in range(30))
    answer = client.post("/predict", content=pieces, headers={"content-type": content_type})
    assert_refused(answer, 413, "larger than the 1 MiB accepted")


def test_too_many_pixels_are_refused_with_413(client: httpx.Client) -> None:
    assert_refused(
        send(client, photo(size=(2000, 1500))), 413, "2000 x 1500 pixels, more than the 2 megapixels accepted"
    )


def test_unknown_routes_and_methods_are_refused(client: httpx.Client) -> None:
    assert_refused(client.get("/nowhere"), 404, ".")
    assert_refused(client.get("/predict"), 405, ".")
    assert "POST" in client.get("/predict").headers["allow"]


def test_a_client_that_hangs_up_half_way_harms_nobody(server: Appliance, client: httpx.Client) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\nhalf"
        )
    assert send(client, photo()).status_code == 200


def test_many_clients_at_once_each_get_their_own_answer(client: httpx.Client) -> None:
    labels = ["dandelion", "grass"] * 40
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda job: send(client, photo(job[1], job[0])).json(), enumerate(labels)))
    assert [answer["label"] for answer in answers] == labels


def test_health_tells_what_it_is_asked(client: httpx.Client) -> None:
    health = client.get("/health").json()
    assert health.pop("uptime_s") >= 0
    model = {"name": "colours", "version": "v7"}
    limits = health.pop("limits")
    assert limits["megapixels"]["PNG"] == 2  # as it is set
    assert limits["megapixels"]["WebP"] <= 2
    assert limits["decoding_bytes"] > 0
    assert health == {"status": "ok", "model": model, "reasons": [], "following": None, "keeps": None}
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_model_is_the_manifest_and_how_it_is_computed_here(client: httpx.Client, server: Appliance) -> None:
    manifest = json.loads((server.log.parent / "v7" / "manifest.json").read_text())
    described = client.get("/model").json()
    assert described["manifest"] == manifest
    assert described["serving"] == {
        "precision": "int8",
        "kernel": "fast",
        "golden_deviation": 0.0,
        "abstain_threshold": 0.6,
        "source": str(server.log.parent / "v7"),
    }


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;q=0, */*"])
def test_metrics_are_in_the_text_format_of_prometheus(client: httpx.Client, accept: str) -> None:
    answer = client.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "dandelion_requests" in {family.name for family in text_string_to_metric_families(answer.text)}
    assert "_created" not in answer.text


# What Prometheus 2 and 3 send.
@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.3,*/*;q=0.1",
    ],
)
def test_openmetrics_have_the_request_ids_as_exemplars(client: httpx.Client, accept: str) -> None:
    raw = {"content-type": "image/jpeg"}
    ids = {
        client.post("/predict", content=photo(), headers=raw | {"x-request-id": "kiosk-7"}).headers["x-request-id"],
        client.get("/health/live").headers["x-request-id"],
    }
    answer = client.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    families = list(openmetrics_families(answer.text))
    assert not [sample.name for family in families for sample in family.samples if sample.name.endswith("_created")]
    [latency] = [family for family in families if family.name == "dandelion_request_seconds"]
    told = {sample.exemplar.labels["request_id"] for sample in latency.samples if sample.exemplar}
    assert ids <= told


def test_head_is_answered_wherever_get_is(client: httpx.Client) -> None:
    paths = ["/health", "/health/live", "/health/ready", "/model", "/models", "/metrics", "/docs", "/docs/openapi.json"]
    paths += ["/docs/assets/swagger-ui.css", "/v2", "/v2/health/live", "/v2/models/colours", "/", "/nowhere"]
    passing = {"date", "x-request-id", "content-length"}
    for path in paths:
        got, headed = client.get(path), client.head(path)
        assert headed.status_code == got.status_code, path
        assert headed.content == b""
        assert headed.headers.keys() == got.headers.keys(), path
        assert {name: value for name, value in headed.headers.items() if name not in passing} == {
            name: value for name, value in got.headers.items() if name not in passing
        }, path
    counted = client.get("/metrics").text
    assert 'dandelion_requests_total{method="HEAD",route="/model",status="200"}' in counted
    assert_refused(client.post("/health"), 405, ".")
    assert set(client.post("/health").headers["allow"].split(", ")) >= {"GET", "HEAD"}


def test_every_json_answer_ends_with_one_newline(client: httpx.Client) -> None:
    raw = {"content-type": "image/jpeg"}
    answers = [
        *(client.get(path) for path in ("/health", "/model", "/models", "/docs/openapi.json", "/nowhere", "/v2")),
        client.post("/predict", content=photo(), headers=raw),
        client.post("/predict", content=b"no photo", headers=raw),
        send(client, photo()),
        send(client, b"no photo"),
        client.post("/explain", content=photo(), headers=raw),
        client.post("/predict", headers={"origin": "https://elsewhere.example"}),
        client.post("/v2/models/colours/infer", content=b"{"),
    ]
    for answer in answers:
        assert answer.content.endswith(b"}\n"), answer.request.url
        assert int(answer.headers["content-length"]) == len(answer.content)


def samples(client: httpx.Client) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_metrics_count_predictions_and_requests(client: httpx.Client) -> None:
    before = samples(client)
    send(client, photo("grass"))
    send(client, b"nonsense")
    after = samples(client)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    assert sum(grown("dandelion_predictions_total", *sorted(["grass", flag, "use"])) for flag in ("true", "false")) == 1
    assert grown("dandelion_requests_total", *sorted(["/predict", "POST", "200"])) == 1
    assert grown("dandelion_requests_total", *sorted(["/predict", "POST", "415"])) == 1
    for stage in ("queue", "decode", "infer", "total"):
        assert grown("dandelion_stage_seconds_count", stage) == 1
    assert after["dandelion_model_info", "colours", "fast", "int8", "v7"] == 1
    assert any(key[0] == "process_resident_memory_bytes" for key in after)


def test_unknown_paths_do_not_become_metric_labels(client: httpx.Client) -> None:
    client.get("/made-up-by-a-scanner")
    client.get("/docs/made-up-by-a-scanner")
    client.post("/predict/made-up-by-a-scanner")
    assert "made-up-by-a-scanner" not in client.get("/metrics").text


def test_answers_carry_no_stack_and_no_server_name(client: httpx.Client) -> None:
    answer = send(client, photo())
    assert "server" not in answer.headers
    assert msgspec.json.decode(answer.content)["label"] == "dandelion"


def test_a_phone_photo_that_stands_on_its_head_is_turned(tmp_path: Path) -> None:
    upright = Image.new("RGB", (80, 60), (20, 60, 200))
    upright.paste((240, 200, 20), (0, 0, 80, 30))
    exif = Image.Exif()
    exif[0x0112] = 3
    headlong = upright.transpose(Image.Transpose.ROTATE_180)
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1", rows=16))) as upper_half:

        def label(data: bytes) -> str:
            return str(httpx.post(upper_half.url + "/predict", files={"file": data}).json()["label"])

        assert label(encode(upright)) == "dandelion"
        assert label(encode(headlong)) == "grass"
        assert label(encode(headlong, exif=exif)) == "dandelion"
