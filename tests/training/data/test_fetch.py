"""Fetching photos: the folder mirrors its source, whatever the source; bad sources are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from runtime.teaching.example_sets.public import RECORDED
from tests.support.photos import photo, write_photos
from tests.support.web.photo_sources import Quiet, names, serving, write_list
from training.data.download import FetchError, Timeouts
from training.data.fetch import fetch
from training.data.listing import read_list

QUICK = Timeouts(connect_s=5, read_s=1, photo_s=3)

pytestmark = pytest.mark.usefixtures("no_long_pauses")


def test_a_folder_is_copied_with_its_manifest(photos: Path, tmp_path: Path) -> None:
    done = fetch(tmp_path / "raw", source=str(photos))
    assert done.photos == {"dandelion": 3, "grass": 3}
    assert names(tmp_path / "raw") == names(photos)
    recorded = read_list(tmp_path / "raw" / "manifest.json").photos
    assert [entry.path for entry in recorded] == sorted(names(photos))
    for entry in recorded:
        data = (tmp_path / "raw" / entry.path).read_bytes()
        assert entry.sha256 == hashlib.sha256(data).hexdigest()
        assert entry.size_bytes == len(data)


def test_a_web_servers_own_listing_is_enough(photos: Path, tmp_path: Path) -> None:
    with serving(photos) as url:
        assert fetch(tmp_path / "raw", source=url + "/").photos == {"dandelion": 3, "grass": 3}
    assert names(tmp_path / "raw") == names(photos)


def test_a_recorded_list_stands_in_for_a_listing(photos: Path, tmp_path: Path) -> None:
    with serving(photos) as url:
        recorded = write_list(tmp_path / "list.json", photos, base_url=url)
        assert fetch(tmp_path / "raw", recorded=recorded).photos == {"dandelion": 3, "grass": 3}
        write_list(photos / "photos.json", photos)
        assert fetch(tmp_path / "raw2", source=url).photos == {"dandelion": 3, "grass": 3}


def test_the_recorded_public_list_has_200_photos_of_each_class() -> None:
    recorded = read_list(RECORDED)
    labels = [entry.path.split("/")[0] for entry in recorded.photos]
    assert {label: labels.count(label) for label in set(labels)} == {"dandelion": 200, "grass": 200}
    assert all(entry.sha256 for entry in recorded.photos)
    assert "82fc896ae71a910ca93bdaccd492630bae3ed1c3" in str(recorded.base_url)


def test_a_second_run_fetches_only_what_is_missing_or_altered(photos: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    with serving(photos) as url:
        fetch(raw, source=url)
        (raw / "grass" / "0000.jpg").unlink()
        (raw / "grass" / "0001.jpg").write_bytes(b"altered")
        done = fetch(raw, source=url)
    assert done.resumed == 4
    assert (raw / "grass" / "0001.jpg").read_bytes() == photo("grass", 1)


def test_the_folder_holds_what_the_source_has_after_any_number_of_runs(photos: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    fetch(raw, source=str(photos))
    (photos / "grass" / "0000.jpg").unlink()
    (photos / "grass" / "0001.jpg").rename(photos / "dandelion" / "0009.jpg")
    (photos / "grass" / "0002.jpg").write_bytes(photo("grass", 77))
    for removed in (2, 0):
        done = fetch(raw, source=str(photos))
        assert (done.photos, done.removed) == ({"dandelion": 4, "grass": 1}, removed)
        assert {name: (raw / name).read_bytes() for name in names(raw)} == {
            name: (photos / name).read_bytes() for name in names(photos)
        }


@pytest.mark.parametrize("how", ["folder", "server", "server without hashes, after a run that failed"])
def test_another_source_is_another_data_set(photos: Path, tmp_path: Path, how: str) -> None:
    raw, other = tmp_path / "raw", tmp_path / "other"
    fetch(raw, source=str(photos))
    write_photos(other, 2, labels=("moss", "grass"))
    (other / "grass" / "0000.jpg").write_bytes(photo("grass", 55))
    with serving(other) as url:
        if "failed" in how:
            listed = tmp_path / "list.json"
            listed.write_text(json.dumps({"photos": [{"path": name} for name in [*names(other), "moss/none.jpg"]]}))
            with pytest.raises(FetchError, match=r"moss/none\.jpg"):
                fetch(raw, source=url, recorded=listed)
        done = fetch(raw, source=str(other) if how == "folder" else url)
    assert done.photos == {"grass": 2, "moss": 2}
    assert {name: (raw / name).read_bytes() for name in names(raw)} == {
        name: (other / name).read_bytes() for name in names(other)
    }
    assert not (raw / "dandelion").exists()


def test_files_that_no_run_brought_are_refused_and_stay(photos: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    fetch(raw, source=str(photos))
    mine = raw / "grass" / "mine.jpg"
    mine.write_bytes(photo("grass", 8))
    with pytest.raises(FetchError, match=r"holds 1 files that .*grass/mine.jpg for one; move them into the source"):
        fetch(raw, source=str(photos))
    assert mine.exists()


@pytest.mark.parametrize("how", ["folder", "server"])
def test_photos_in_folders_inside_a_class_folder_are_taken(photos: Path, tmp_path: Path, how: str) -> None:
    deeper = photos / "grass" / "2024" / "may"
    deeper.mkdir(parents=True)
    (deeper / "0000.jpg").write_bytes(photo("grass", 40))
    for strange in ("@eaDir", "grass/@eaDir", "__MACOSX", ".thumbnails", "grass/2024/.cache"):
        (photos / strange).mkdir()
        (photos / strange / "0000.jpg").write_bytes(b"thumbnail")
    (photos / "grass" / "Thumbs.db").write_bytes(b"thumbnails")
    with serving(photos) as url:
        done = fetch(tmp_path / "raw", source=str(photos) if how == "folder" else url)
    assert done.photos == {"dandelion": 3, "grass": 4}
    assert (tmp_path / "raw" / "grass" / "2024--may--0000.jpg").read_bytes() == photo("grass", 40)


def test_a_link_that_leads_nowhere_is_named(photos: Path, tmp_path: Path) -> None:
    (photos / "grass" / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(FetchError, match=r"grass/lost.jpg: is a link that leads nowhere; mend or remove it"):
        fetch(tmp_path / "raw", source=str(photos))


def test_a_folder_that_links_to_one_above_it_is_entered_once(photos: Path, tmp_path: Path) -> None:
    (photos / "grass" / "again").symlink_to(photos / "grass", target_is_directory=True)
    assert fetch(tmp_path / "raw", source=str(photos)).photos == {"dandelion": 3, "grass": 3}


def test_a_photo_that_is_missing_is_named_and_the_others_arrive(photos: Path, tmp_path: Path) -> None:
    recorded = write_list(tmp_path / "list.json", photos)
    (photos / "grass" / "0001.jpg").unlink()
    with (
        serving(photos) as url,
        pytest.raises(
            FetchError, match=r"1 of 6 photos .*run the command again[\s\S]*0001.jpg: the server answered 404"
        ),
    ):
        fetch(tmp_path / "raw", source=url, recorded=recorded)
    assert len(names(tmp_path / "raw")) == 5


def test_a_photo_with_the_wrong_hash_is_refused(photos: Path, tmp_path: Path) -> None:
    recorded = write_list(tmp_path / "list.json", photos)
    (photos / "grass" / "0002.jpg").write_bytes(photo("dandelion", 9))
    with serving(photos) as url, pytest.raises(FetchError, match=r"grass/0002.jpg: sha256 is .*was recorded"):
        fetch(tmp_path / "raw", source=url, recorded=recorded)
    assert not (tmp_path / "raw" / "grass" / "0002.jpg").exists()


@pytest.mark.parametrize("path", ["../up.jpg", "a/b/c.jpg", "/etc/passwd", "grass/.hidden", "grass/..", "alone.jpg"])
def test_a_listed_path_that_leaves_its_class_folder_is_refused(tmp_path: Path, path: str) -> None:
    recorded = tmp_path / "list.json"
    recorded.write_text(json.dumps({"base_url": "http://127.0.0.1:9", "photos": [{"path": path}]}))
    with pytest.raises(FetchError, match="is not of the form <class>/<name>"):
        fetch(tmp_path / "raw", recorded=recorded)


@pytest.mark.parametrize("how", ["folder", "listing of a server", "recorded list"])
def test_two_classes_that_differ_only_in_case_or_normal_form_are_refused(tmp_path: Path, how: str) -> None:
    folder = write_photos(tmp_path / "photos", 2, labels=("\u00e9pine", "e\u0301pine"))
    refused = pytest.raises(FetchError, match=r"the class folders 'e\\u0301pine' and '\\xe9pine' differ only")
    with serving(folder) as address, refused:
        if how == "recorded list":
            write_list(folder / "photos.json", folder)
        fetch(tmp_path / "raw", source=str(folder) if how == "folder" else address + "/")
    assert not names(tmp_path / "raw")


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 2, labels=("grass",))
    with pytest.raises(FetchError, match="only the class 'grass'; a classifier needs at least two"):
        fetch(tmp_path / "raw", source=str(tmp_path / "photos"))


def test_an_empty_class_folder_is_refused(photos: Path, tmp_path: Path) -> None:
    (photos / "moss").mkdir()
    with pytest.raises(FetchError, match=r"moss: is empty; put the photos of that class there"):
        fetch(tmp_path / "raw", source=str(photos))
    with serving(photos) as url, pytest.raises(FetchError, match="moss/: lists no files"):
        fetch(tmp_path / "raw", source=url)


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="nowhere: is not a folder; --source takes a folder or a URL"):
        fetch(tmp_path / "raw", source=str(tmp_path / "nowhere"))
    with serving(tmp_path) as url:
        with pytest.raises(FetchError, match="404; it must list its folders"):
            fetch(tmp_path / "raw", source=url + "/nowhere")
        with pytest.raises(FetchError, match="no class folders with photos"):
            fetch(tmp_path / "raw", source=url)
    with pytest.raises(FetchError, match="check the address and the network"):
        fetch(tmp_path / "raw", source="http://127.0.0.1:9/")


def test_a_run_after_nothing_or_one_class_arrived_goes_on(photos: Path, tmp_path: Path) -> None:
    recorded = write_list(tmp_path / "list.json", photos)
    raw = tmp_path / "raw"
    with pytest.raises(FetchError, match="6 of 6 photos"):
        fetch(raw, source="http://127.0.0.1:9", recorded=recorded)
    (photos / "grass").rename(tmp_path / "grass")
    with serving(photos) as url, pytest.raises(FetchError, match="3 of 6 photos"):
        fetch(raw, source=url, recorded=recorded)
    (tmp_path / "grass").rename(photos / "grass")
    with serving(photos) as url:
        assert fetch(raw, source=url, recorded=recorded).resumed == 3


def test_links_that_leave_the_base_are_ignored(photos: Path, tmp_path: Path) -> None:
    links = [
        "http://elsewhere.invalid/moss/",
        "../moss/",
        "/",
        "?C=N",
        "grass/deep/",
        "http://[",
        "dandelion/",
        "grass/",
    ]

    class Linking(Quiet):
        def do_GET(self) -> None:  # noqa: N802  # the library's name
            if self.path != "/photos/":
                return super().do_GET()
            self.send_response(200)
            self.end_headers()
            self.wfile.write("".join(f'<a href="{link}">x</a>' for link in links).encode())
            return None

    with serving(photos.parent, Linking) as url:
        assert fetch(tmp_path / "raw", source=url + "/photos").photos == {"dandelion": 3, "grass": 3}


def test_names_of_any_language_arrive_as_they_are(tmp_path: Path) -> None:
    source = write_photos(tmp_path / "photos", 2, labels=("écureuil", "蒲公英"))
    (source / "écureuil" / "a photo@2x #1 100%.jpg").write_bytes(photo())
    fetch(tmp_path / "copied", source=str(source))
    with serving(source) as url:
        fetch(tmp_path / "downloaded", source=url)
    assert names(tmp_path / "copied") == names(tmp_path / "downloaded") == names(source)


def test_a_list_checks_a_folder_too(photos: Path, tmp_path: Path) -> None:
    recorded = write_list(tmp_path / "list.json", photos)
    (photos / "grass" / "0000.jpg").write_bytes(b"altered")
    (photos / "grass" / "0001.jpg").unlink()
    with pytest.raises(FetchError, match=r"2 of 6 [\s\S]*0001.jpg: is not there[\s\S]*0000.jpg: sha256 is"):
        fetch(tmp_path / "raw", source=str(photos), recorded=recorded)


def test_a_photo_listed_twice_is_refused(tmp_path: Path) -> None:
    recorded = tmp_path / "list.json"
    entries = [{"path": path} for path in ("a/1.jpg", "b/1.jpg", "a/1.jpg")]
    recorded.write_text(json.dumps({"base_url": "http://127.0.0.1:9", "photos": entries}))
    with pytest.raises(FetchError, match=r"'a/1.jpg' stands there twice"):
        fetch(tmp_path / "raw", recorded=recorded)


@pytest.mark.parametrize("address", ["http://[", "ftp://host/photos", "http://"])
def test_what_is_no_web_address_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(FetchError, match="is not a web address"):
        fetch(tmp_path / "raw", source=address)


def test_a_destination_that_is_no_folder_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(FetchError, match="raw: File exists; choose another folder"):
        fetch(tmp_path / "raw", source=str(photos))


def test_a_broken_record_of_an_earlier_run_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "manifest.json").write_text("{")
    with pytest.raises(FetchError, match=r"manifest.json: is not what `fetch` wrote .*delete it"):
        fetch(tmp_path / "raw", source=str(photos))
