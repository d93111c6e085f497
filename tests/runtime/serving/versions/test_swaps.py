"""Many changes of the model under load, every fifth a bad one, and the store killed in between."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import msgspec

from runtime.bundle.manifest import MANIFEST, MODEL, SIGNATURE
from runtime.registry.catalogue import POINTER, key_of
from runtime.registry.pointer import Pointer, signed
from runtime.registry.signature import new_keys, sign, signing_key
from tests.support.appliances.following import Followed, refusals, serving
from tests.support.appliances.servers import Appliance
from tests.support.models.bundles import change_manifest, write_bundle
from tests.support.photos import photo
from tests.support.stores.s3 import S3Server
from tests.support.suite.repeats import THOROUGH, repeats
from tests.support.waiting import wait_until

SWAPS, CLIENTS = repeats(40) // 5 * 5, 3
PAUSE_S = 0.0 if THOROUGH else 0.1  # of a client
DAMAGES = ("altered", "truncated", "unsigned", "wrong answers")


class Publisher:
    """Writes signed versions into a store, whole ones and damaged ones."""

    def __init__(self, followed: Followed, private: str) -> None:
        self._followed = followed
        self._key = signing_key(private)
        self._counter = 0

    def publish(self, version: str, damage: str | None = None) -> None:
        """Write the files first and the pointer last, as `publish` does, but verify nothing."""
        bundle = write_bundle(self._followed.folder / version)
        if damage == "wrong answers":
            case = {"pattern": "noise", "seed": 0}
            change_manifest(
                bundle, golden=[case | {"probabilities": [p, 1 - p], "int8": [p, 1 - p]} for p in (0.0, 1.0)]
            )
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
        pointer = signed(Pointer(version, hashlib.sha256(manifest).hexdigest()), self._key, after=self._counter)
        self._counter = pointer.counter
        self._followed.store.write(POINTER, msgspec.json.encode(pointer))


@contextmanager
def load(server: Appliance) -> Iterator[list[tuple[int, str]]]:
    """Clients that ask again and again; yields the status and version of each answer."""
    answers: list[tuple[int, str]] = []
    done = threading.Event()
    data = photo()

    def ask() -> None:
        with httpx.Client(base_url=server.url) as client:
            while not done.wait(PAUSE_S):
                answer = client.post("/predict", files={"file": data})
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


def test_many_changes_fail_no_request_and_let_no_bad_model_in(mortal_s3: S3Server, tmp_path: Path):
    followed = Followed(mortal_s3.new_bucket("models"), tmp_path)
    private, public = new_keys()
    publisher = Publisher(followed, private)
    publisher.publish("v000")
    good, damages = "v000", cycle(DAMAGES)
    served, refused = {good}, 0
    signed_only = {"DANDELION_PUBLIC_KEY": public, "DANDELION_MODEL_NAMES": "colours"}
    with followed.serve(**signed_only, **mortal_s3.environment) as server, load(server) as answers:
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
    assert log.count("keeps serving") == refused  # each is said once, however often it is tried again
