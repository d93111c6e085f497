from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from runtime.__main__ import main
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MODEL
from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import add
from runtime.registry.signature import new_keys, signing_key
from runtime.store import open_store
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import UNKNOWN_FROM_HALF, change_manifest, taught_bundle, write_bundle
from tests.support.stores.s3 import S3Server


class Operator:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = str(folder / "store")
        self.environment = {"DANDELION_MODELS": self.uri, "DANDELION_CACHE": str(folder / "cache")}

    def run(self, *arguments: object, **environment: str) -> Result:
        return CliRunner().invoke(main, [*map(str, arguments)], env=self.environment | environment)

    def says(self, *arguments: object, **environment: str) -> str:
        ran = self.run(*arguments, **environment)
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def refuses(self, *arguments: object, **environment: str) -> str:
        ran = self.run(*arguments, **environment)
        assert ran.exit_code == 1, ran.output
        assert len(ran.stderr.splitlines()) == 1
        return ran.stderr

    @property
    def cache(self) -> Cache:
        return Cache(self.folder / "cache")


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_a_version_with_the_unknown_class_goes_all_ways_that_others_go(operator: Operator):
    folder = write_bundle(operator.folder / "v2", unknown=UNKNOWN_FROM_HALF)
    assert "labels dandelion, grass, (unknown)" in operator.says("check", folder)
    assert "published v2" in operator.says("models", "publish", folder)
    assert "verified v2" in operator.says("models", "pull")
    assert operator.cache.open("v2").manifest.unknown
    file = operator.folder / "model.bundle"
    operator.says("models", "export", folder, file)
    assert "v2" in operator.says("models", "import", file, DANDELION_CACHE=str(operator.folder / "elsewhere"))


@pytest.mark.parametrize("command", [["check"], ["models", "publish"]])
def test_a_bundle_of_a_later_schema_is_refused_by_that_number(operator: Operator, command: list[str]):
    folder = write_bundle(operator.folder / "v2", unknown=UNKNOWN_FROM_HALF)
    change_manifest(folder, schema_version=4)
    refusal = operator.refuses(*command, folder)
    assert "schema version 4, this runtime reads 1 to 3; export the bundle with the matching release" in refusal
    assert not Catalogue(open_store(operator.uri)).versions()


def test_what_was_taught_says_so_wherever_it_goes(operator: Operator):
    folder = taught_bundle(operator.folder / "v1")
    said = operator.says("check", folder)
    assert "by 5-fold cross-validation (0.7500 to 1.0000, INT8); taught on an appliance from 10 photos: dand" in said
    assert "published v1" in operator.says("models", "publish", folder)
    assert re.search(r"v1 .*1\.0000 .*taught, latest", operator.says("models", "list"))
    operator.says("models", "export", folder, operator.folder / "v1.bundle")
    elsewhere = {"DANDELION_MODELS": str(operator.folder / "elsewhere")}
    assert "published v1" in operator.says("models", "publish", operator.folder / "v1.bundle", **elsewhere)
    assert Catalogue(open_store(elsewhere["DANDELION_MODELS"])).manifest("v1")[1].taught


def test_a_version_in_the_store_is_signed_by_who_knows_it(operator: Operator):
    private, public = new_keys()
    operator.says("models", "publish", write_bundle(operator.folder / "v0"), DANDELION_SIGNING_KEY=private)
    add(taught_bundle(operator.folder / "v1"), open_store(operator.uri), key=signing_key(new_keys()[0]))
    refusal = operator.refuses("models", "promote", "v1", DANDELION_SIGNING_KEY=private)
    assert re.search(r"sign it if you know who taught it: \S+ -m runtime models sign v1", refusal)
    said = operator.says("models", "sign", "v1", DANDELION_SIGNING_KEY=private)
    assert re.search(
        r"signed gate v1: 32 x 32 px, labels dandelion, grass\n.*taught on an appliance .*\nnext: .*promote v1", said
    )
    assert "points at v1, signed" in operator.says("models", "promote", "v1", DANDELION_SIGNING_KEY=private)
    assert "verified v1" in operator.says("models", "pull", DANDELION_PUBLIC_KEY=public)


def test_a_narrow_terminal_shows_whole_versions(operator: Operator):
    version = "20261130-012217-695a96f9"
    operator.says("models", "publish", taught_bundle(operator.folder / version))
    assert version in operator.says("models", "list", COLUMNS="80")


def test_what_is_neither_a_folder_nor_a_version_is_not_signed(operator: Operator):
    key = {"DANDELION_SIGNING_KEY": new_keys()[0]}
    assert "v9: is neither a folder nor a version in" in operator.refuses("models", "sign", "v9", **key)
    add(write_bundle(operator.folder / "v1"), open_store(operator.uri))
    (operator.folder / "store/models/v1" / MODEL).write_bytes(b"rotten")
    assert "publish it again" in operator.refuses("models", "sign", "v1", **key)


def test_a_file_that_is_no_archive_is_not_published(operator: Operator):
    (operator.folder / "file").write_bytes(b"nonsense")
    assert "file: is not a bundle archive" in operator.refuses("models", "publish", operator.folder / "file")


def test_publish_list_pull_pin_and_roll_back(operator: Operator):
    for version in ("v1", "v2"):
        assert f"published {version}" in operator.says("models", "publish", write_bundle(operator.folder / version))
    assert "verified v2" in operator.says("models", "pull")
    assert "verified v1" in operator.says("models", "pull", "v1")
    assert "pinned v1" in operator.says("models", "pin", "v1")
    listing = operator.says("models", "list")
    assert re.search(r"v1 .*yes .*pinned", listing)
    assert re.search(r"v2 .*latest", listing)
    operator.says("models", "unpin")
    assert operator.cache.state.pinned is None
    assert "no version served before" in operator.refuses("models", "rollback")
    operator.cache.served("v1")
    operator.cache.served("v2")
    assert "pinned v1" in operator.says("models", "rollback")
    operator.cache.served(default_bundle().name)
    operator.cache.served("v2")
    assert f"pinned {default_bundle().name}" in operator.says("models", "rollback"), "which needs no cache"


def test_promote_and_prune(operator: Operator):
    for number in range(4):
        operator.says("models", "publish", write_bundle(operator.folder / f"v{number}"))
    operator.says("models", "promote", "v1")
    latest = Catalogue(open_store(operator.uri)).latest()
    assert latest
    assert latest.version == "v1"
    assert "has no version v9; it has v0, v1, v2, v3" in operator.refuses("models", "promote", "v9")
    assert "removed v0, v2" in operator.says("models", "prune", "--keep", "1")
    assert "removed nothing" in operator.says("models", "prune", "--keep", "1")


def test_a_bundle_travels_as_one_file(operator: Operator):
    bundle = write_bundle(operator.folder / "v1")
    file = operator.folder / "v1.bundle"
    assert "made" in operator.says("models", "export", bundle, file)
    assert "verified and pinned v1" in operator.says("models", "import", file)
    assert operator.cache.state.pinned == "v1"
    assert operator.cache.open("v1").model.read_bytes() == (bundle / MODEL).read_bytes()


def test_only_a_signed_file_is_let_in_where_a_key_is_set(operator: Operator):
    bundle, file = write_bundle(operator.folder / "v1"), operator.folder / "v1.bundle"
    found = re.search(r"private  (\S+)\npublic   (\S+)", operator.says("models", "keys"))
    assert found
    private, public = found.groups()
    operator.says("models", "export", bundle, file)
    assert "is not signed" in operator.refuses("models", "import", file, DANDELION_PUBLIC_KEY=public)
    operator.says("models", "sign", bundle, DANDELION_SIGNING_KEY=private)
    operator.says("models", "export", bundle, file)
    operator.says("models", "import", file, DANDELION_PUBLIC_KEY=public)


def test_a_bundle_packed_with_plain_tar_is_taken(operator: Operator):
    bundle = write_bundle(operator.folder / "v1")
    with tarfile.open(operator.folder / "plain.tar", "w") as tar:
        tar.add(bundle, bundle.name)
    operator.says("models", "import", operator.folder / "plain.tar")


def tar_of(file: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def test_hostile_or_broken_files_are_refused(operator: Operator):
    good = operator.folder / "good.bundle"
    operator.says("models", "export", write_bundle(operator.folder / "v1"), good)
    for name, members in {
        "escape": [("v1/../../evil", b"x")],
        "absolute": [("/etc/evil", b"x")],
        "rooted": [("/evil", b"x")],
        "nameless": [("v1/.", b"x")],
        "two": [("v1/manifest.json", b"{}"), ("v2/manifest.json", b"{}")],
    }.items():
        refused = operator.refuses("models", "import", tar_of(operator.folder / name, *members))
        assert f"{operator.folder / name}: holds " in refused
    with tarfile.open(operator.folder / "link", "w") as tar:
        link = tarfile.TarInfo("v1/model.onnx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert "holds 'v1/model.onnx', which no bundle holds" in operator.refuses(
        "models", "import", operator.folder / "link"
    )
    (operator.folder / "text").write_text("hello")
    assert "is not a bundle archive" in operator.refuses("models", "import", operator.folder / "text")
    (operator.folder / "half").write_bytes(good.read_bytes()[:1500])
    operator.refuses("models", "import", operator.folder / "half")
    assert "manifest.json" in operator.refuses(
        "models", "import", tar_of(operator.folder / "none", ("v1/model.onnx", b"x"))
    )
    assert operator.cache.versions() == []


def test_a_listing_fails_where_the_store_cannot_be_asked(operator: Operator):
    operator.says("models", "publish", write_bundle(operator.folder / "v1"))
    operator.says("models", "pull")
    away = {
        "DANDELION_MODELS": "s3://away",
        "MINIO_ENDPOINT": "127.0.0.1:9",
        "MINIO_ACCESS_KEY": "a",
        "MINIO_SECRET_KEY": "b",
    }
    ran = operator.run("models", "list", **away)
    assert ran.exit_code == 1
    assert "the store is unreachable" in ran.stderr
    assert "v1" in ran.stdout, "what is on this host is shown all the same"


def test_what_is_not_there_is_named(operator: Operator):
    assert "no model is published there" in operator.refuses("models", "pull")
    assert "is not there" in operator.refuses("models", "pull", "v9")
    assert "manifest.json" in operator.refuses("models", "pin", "v9")


def test_the_store_is_made_once(operator: Operator, s3: S3Server):
    uris = {"DANDELION_MODELS": "s3://commands-models", "DANDELION_DATA": str(operator.folder / "data")}
    assert operator.says("store", "init", **s3.environment, **uris).count("made ") == 2
    assert operator.says("store", "init", **s3.environment, **uris).count("found ") == 2
    assert "made s3://commands-others" in operator.says(
        "store", "init", "s3://commands-others", **s3.environment, **uris
    )
    operator.says("models", "publish", write_bundle(operator.folder / "v1"), **s3.environment, **uris)
    assert "models/latest.json" in operator.says("store", "ls", uris["DANDELION_MODELS"], **s3.environment)


@pytest.mark.parametrize("wrong", [{"MINIO_SECRET_KEY": "wrong"}, {"MINIO_ENDPOINT": "127.0.0.1:9"}])
def test_a_wrong_secret_or_endpoint_is_told_in_one_line(operator: Operator, s3: S3Server, wrong: dict[str, str]):
    said = operator.refuses("store", "init", **{"DANDELION_MODELS": "s3://commands-models"} | s3.environment | wrong)
    assert len(said.strip().splitlines()) == 1
    assert "check" in said


def test_a_wrong_secret_is_one_line(operator: Operator, s3: S3Server):
    uris = {"DANDELION_MODELS": "s3://commands-models"}
    wrong = s3.environment | {"MINIO_SECRET_KEY": "wrong"}
    assert "check MINIO" in operator.refuses("models", "pull", **wrong, **uris)


def test_what_was_imported_serves_where_no_store_is_followed(operator: Operator):
    file = operator.folder / "v1.bundle"
    operator.says("models", "export", write_bundle(operator.folder / "v1"), file)
    operator.says("models", "import", file)
    with appliance(operator.folder, DANDELION_CACHE=str(operator.folder / "cache")) as server:
        assert httpx.get(server.url + "/health").json()["model"]["version"] == "v1"
    (operator.cache.folder_of("v1") / MODEL).write_bytes(b"rotten")
    with appliance(operator.folder, DANDELION_CACHE=str(operator.folder / "cache")) as server:
        told = httpx.get(server.url + "/health").json()
        assert told["model"]["version"] == default_bundle().name
        assert "fetch the bundle again" in str(told)
