"""`python -m runtime teach`: from a folder or a table to a bundle, a report in words, and a model that serves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from runtime.__main__ import main
from runtime.bundle.manifest import Bundle
from runtime.registry.signature import new_keys
from runtime.store import open_store
from runtime.store.trees import read_index
from tests.support.appliances.servers import appliance
from tests.support.models.backbones import VERSION, write_backbone
from tests.support.photos import photo, write_photos


class Owner:
    """Somebody with a folder of photos, who types commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = write_photos(folder / "Ma prairie", 6)
        self.out = folder / "taught"
        self.cache = folder / "cache"

    def run(self, *arguments: object, **environment: str) -> Result:
        command = ["teach", *map(str, arguments), "--out", str(self.out), "--cache", str(self.cache)]
        return CliRunner().invoke(main, command, env=environment)

    def says(self, *arguments: object, **environment: str) -> str:
        ran = self.run(*arguments, **environment)
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def refuses(self, *arguments: object, **environment: str) -> str:
        ran = self.run(*arguments, **environment)
        assert ran.exit_code == 1, ran.output
        assert len(ran.stderr.splitlines()) == 1, ran.stderr
        assert not self.out.exists()
        return ran.stderr

    def bundle(self) -> Bundle:
        (folder,) = self.out.iterdir()
        return Bundle.open(folder)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("backbones") / VERSION)


@pytest.fixture
def owner(tmp_path: Path, miniature: Path, monkeypatch: pytest.MonkeyPatch) -> Owner:
    """With a backbone in miniature: the shipped one takes many times as long."""
    monkeypatch.setattr("runtime.teaching.backbone.default_backbone", lambda: miniature)
    return Owner(tmp_path)


@pytest.fixture
def owner_of_shipped(tmp_path: Path) -> Owner:
    """With the shipped backbone."""
    return Owner(tmp_path)


def test_a_folder_of_class_folders_becomes_a_bundle_and_a_report_in_words(owner_of_shipped: Owner) -> None:
    said = owner_of_shipped.says(owner_of_shipped.photos)
    manifest = owner_of_shipped.bundle().manifest
    assert (manifest.name, manifest.labels) == ("ma-prairie", ["dandelion", "grass"])
    assert manifest.display
    assert manifest.display.title == "Ma prairie"
    assert manifest.taught
    assert manifest.taught.photos == {"dandelion": 6, "grass": 6}
    lines = said.splitlines()
    assert re.fullmatch(
        r"accuracy [\d.]+ % \(95 % interval [\d.]+ to [\d.]+\) on photos .*: 12 photos, \d folds", lines[0]
    )
    assert re.match(r"  dandelion  [\d.]+ % of 6 photos recognised", lines[2])
    assert f"made {owner_of_shipped.out / manifest.version}" in said
    assert re.search(rf"next: \S+ -m runtime serve --bundle \S*{manifest.version}, or teach with --serve", lines[-1])


def test_the_same_photos_teach_the_same_model(owner: Owner, tmp_path: Path) -> None:
    owner.says(owner.photos)
    first = (owner.bundle().path / "model.onnx").read_bytes()
    other = Owner(tmp_path / "other")
    other.says(other.photos)
    assert (other.bundle().path / "model.onnx").read_bytes() == first


def test_a_table_names_photos_wherever_they_are(owner: Owner) -> None:
    table = owner.folder / "photos.csv"
    rows = [
        f"{file},{'yellow' if file.parent.name == 'dandelion' else 'green'}" for file in owner.photos.rglob("*.jpg")
    ]
    table.write_text("\n".join(["path,label", *rows]))
    owner.says("--from", table, "--name", "colours")
    assert (owner.bundle().manifest.name, set(owner.bundle().manifest.labels)) == ("colours", {"yellow", "green"})


def test_what_is_left_out_is_named(owner: Owner) -> None:
    (owner.photos / "grass" / "text.jpg").write_text("no photo")
    (owner.photos / "grass" / "copy.jpg").write_bytes(photo("grass", 1))
    (owner.photos / "dandelion" / "wrong.jpg").write_bytes(photo("grass", 2))
    said = owner.says(owner.photos)
    assert re.search(r"left out \S.*text\.jpg: the file is not a photo in an accepted format", said)
    assert re.search(r"left out .*(wrong|0002)\.jpg.*: the same photo under different labels", said)
    assert "passed over 1 copies of photos that are there" in said
    assert owner.bundle().manifest.taught
    assert owner.bundle().manifest.taught.photos == {"dandelion": 6, "grass": 5}


def test_what_cannot_be_taught_is_refused_in_a_line(owner: Owner, tmp_path: Path) -> None:
    assert "takes a FOLDER with a folder of photos for each class, or --from" in owner.refuses()
    assert "is not a folder" in owner.refuses(tmp_path / "missing")
    assert "cannot be read" in owner.refuses("--from", tmp_path / "missing.csv")
    one = write_photos(tmp_path / "one", 5, ("grass",))
    assert "one class alone" in owner.refuses(one)
    few = write_photos(tmp_path / "few", 2)
    assert "'dandelion' has 2 photos: 1 more, 'grass' has 2 photos: 1 more" in owner.refuses(few)
    copies = write_photos(tmp_path / "copies", 4)
    for number in range(4):
        (copies / "grass" / f"{number:04}.jpg").write_bytes(photo("grass", 1) + bytes(number))
    assert "all photos of 'grass' are copies of one" in owner.refuses(copies)
    broken = write_photos(tmp_path / "broken", 3)
    (broken / "grass" / "0000.jpg").write_text("no photo")
    ran = owner.run(broken)
    assert "'grass' has 2 photos: 1 more" in ran.stderr
    assert "left out" in ran.stdout


def test_a_full_or_read_only_disk_is_an_error_of_one_line(owner: Owner) -> None:
    ran = CliRunner().invoke(main, ["teach", str(owner.photos), "--out", "/proc/taught"])
    assert ran.exit_code == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "/proc/taught" in ran.stderr


def test_what_was_taught_serves_from_the_next_start_on(owner_of_shipped: Owner) -> None:
    said = owner_of_shipped.says(owner_of_shipped.photos, "--serve", "--name", "garden gate")
    version = owner_of_shipped.bundle().manifest.version
    assert f"{version}: it is kept on this host" in said
    with appliance(owner_of_shipped.folder, "--cache", str(owner_of_shipped.cache)) as server:
        answer = httpx.post(server.url + "/predict", content=photo("grass", 50), headers={"content-type": "image/jpeg"})
        assert answer.json()["model"] == {"name": "garden-gate", "version": version}
        assert answer.json()["label"] == "grass"


def test_with_a_store_it_is_published_there(owner: Owner) -> None:
    store = owner.folder / "store"
    said = owner.says(owner.photos, "--serve", DANDELION_MODELS=str(store))
    version = owner.bundle().manifest.version
    assert f"it is in {open_store(str(store)).uri}, for all that follow that store" in said
    assert (store / "models" / version / "manifest.json").is_file()


def test_where_models_must_be_signed_this_host_signs_for_itself(owner: Owner) -> None:
    _, public = new_keys()
    said = owner.says(
        owner.photos, "--serve", DANDELION_PUBLIC_KEY=public, DANDELION_MODELS=str(owner.folder / "store")
    )
    assert "this host has signed it" in said
    assert (owner.cache / "host.key").is_file()


def test_with_a_data_store_the_pipeline_finds_the_photos_there(owner: Owner) -> None:
    data = open_store(str(owner.folder / "data"))
    store = {"DANDELION_DATA": data.uri, "DANDELION_MODELS": str(owner.folder / "store")}
    assert f"its photos are in {data.uri}, for the training pipeline" in owner.says(owner.photos, "--serve", **store)
    first = read_index(data, "products/ma-prairie/taught")
    assert first
    assert sorted({path.split("/")[0] for path in first.files}) == ["dandelion", "grass"]
    assert len(first.files) == 12
    (owner.photos / "grass" / "more.jpg").write_bytes(photo("grass", 77))
    owner.says(owner.photos, "--serve", **store)
    again = read_index(data, "products/ma-prairie/taught")
    assert again
    assert (len(again.files), again.origin) == (13, first.origin)
    other = owner.photos.rename(owner.folder / "elsewhere")
    said = owner.says(other, "--serve", "--name", "Ma prairie", **store)
    assert "the photos of ma-prairie are not in the data store: " in said
    assert "holds photos of another dataset; give this one another name" in said


def test_where_one_bundle_serves_it_is_refused_before_any_work(owner: Owner) -> None:
    assert "DANDELION_BUNDLE names the one model" in owner.refuses(
        owner.photos, "--serve", DANDELION_BUNDLE="var/bundle"
    )
    assert "next: " in owner.says(owner.photos, DANDELION_BUNDLE="var/bundle")


def test_it_imports_no_web_framework(owner_of_shipped: Owner) -> None:
    code = (
        "import sys\n"
        "from runtime.__main__ import main\n"
        "main(['teach', *sys.argv[1:]], standalone_mode=False)\n"
        "print('imported:', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    command = [sys.executable, "-c", code, str(owner_of_shipped.photos), "--out", str(owner_of_shipped.out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"litestar", "uvicorn", "boto3", "prometheus_client"} & set(
        done.stdout.rpartition("imported:")[2].split()
    )
