"""A hundred changes of the model under load, every fifth a bad one, and the store killed in between."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import msgspec

from runtime.bundle import MANIFEST, MODEL
from runtime.models.catalogue import POINTER, SIGNATURE, Pointer, key_of
from runtime.models.signature import new_keys, sign, signing_key
from tests.bundles import change_manifest, write_bundle
from tests.following import Followed, refusals, serving
from tests.photos import photo
from tests.s3 import S3Server
from tests.servers import Appliance
from tests.waiting import wait_until

SWAPS, CLIENTS = 100, 3
DAMAGES = ("altered", "truncated", "unsigned", "wrong answers")


class Publisher:
    """Writes signed versions into a store, whole ones and damaged ones."""

    def __init__(self, followed: Followed, private: str) -> None:
        self._followed = followed
        self._key = signing_key(private)

    def publish(self, version: str, damage: str | None = None) -> None:
        """Write the files first and the pointer last, as `publish` does, but verify nothing."""
        bundle = write_bundle(self._followed.folder / version)
        if damage == "wrong answers":
            case = {"pattern": "noise", "seed": 0}
            change_manifest(bundle, golden=[case | {"probabilities": [p, 1 - p]} for p in (0.0, 1.0)])
        manifest = (bundle / MANIFEST).read_bytes()
        model = (bundle / MODEL).read_bytes()
        if damage == "altered":
            model = model[:-8] + bytes(8)
        if damage == "truncated":
            model = model[: len(model) // 2]
        files = {MODEL: model, SIGNATURE: sign(manifest, self._key), MANIFEST: manifest}
        if damage == "unsigned":
            del files[SIGNATURE]
        for name, data in files.items():
            self._followed.store.write(key_of(version, name), data)
        pointer = Pointer(version, hashlib.sha256(manifest).hexdigest())
        self._followed.store.write(POINTER, msgspec.json.encode(pointer))


@contextmanager
def load(server: Appliance) -> Iterator[list[tuple[int, str]]]:
    """Clients that ask as fast as they can; yields the status and version of each answer."""
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url) as client:
            while not done.is_set():
                answer = client.post("/predict", files={"file": photo()})
                answers.append((answer.status_code, answer.json()["model"]["version"]))

    askers = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for asker in askers:
        asker.start()
    try:
        yield answers
    finally:
        done.set()
        for asker in askers:
            asker.join()


def test_a_hundred_changes_fail_no_request_and_let_no_bad_model_in(mortal_s3: S3Server, tmp_path: Path):
    followed = Followed(mortal_s3.new_bucket("models"), tmp_path)
    private, public = new_keys()
    publisher = Publisher(followed, private)
    publisher.publish("v000")
    good, damages = "v000", cycle(DAMAGES)
    served, refused = {good}, 0
    with followed.serve(DANDELION_PUBLIC_KEY=public, **mortal_s3.environment) as server, load(server) as answers:
        for number in range(1, SWAPS + 1):
            version = f"v{number:03}"
            if number == SWAPS // 2:
                mortal_s3.kill()
                wait_until(lambda: httpx.get(server.url + "/health").json()["status"] == "degraded")
                mortal_s3.start()
            if number % 5 == 0:
                refused += 1
                before = refusals(server)
                publisher.publish(version, damage=next(damages))
                wait_until(lambda before=before: refusals(server) > before)
                assert serving(server) == good
            else:
                good = version
                served.add(good)
                publisher.publish(good)
                wait_until(lambda good=good: serving(server) == good)
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} <= served
    assert refused == SWAPS // 5
    log = (tmp_path / "appliance.log").read_text()
    assert log.count("goes on serving") == refused  # each is said once, however often it is tried again
