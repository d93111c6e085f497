"""What somebody else may have written into the data store: indices, records, datasets, and the names of runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import MAX_LINE, Refusal
from runtime.serving.feedback.review import ReviewError, corrections, review
from runtime.store import Store, open_store
from runtime.store.trees import SyncError
from tests.support.photos import photo, write_photos
from training.data.dataset import Dataset, DatasetError
from training.data.prepare import prepare
from training.feedback.accepted import bring_accepted
from training.feedback.review_page import write_review_page
from training.pipeline.runs import Run, prune_runs
from training.storage.locations import Places
from training.storage.sync import download_tree, upload_tree

LEADING_OUT = ["../evil", "a/../../evil", "/evil", "..", ".", "", "/", "a//b", "a/", "a\\b", "a/.hidden", ".partial-x"]
UNFIT = ["a\n", "a\x00b", "a/\x1b[2J", "\u202ea", "x" * 300, "é" * 200, "/".join(["x" * 200] * 6), "\ud800"]
ODD_NAMES = [
    "a/b",
    "a:b",
    "a_b",
    "a__b",
    "a b",
    "A_b",
    "a\\b",
    "a\nb",
    "a_b ",
    " a_b",
    "é",
    "e",
    "",
    ".",
    "..",
    "...",
    "-",
]
ODD_NAMES += [
    "x" * 100,
    "x" * 101,
    "x" * 99 + "/",
    "x" * 99 + ":",
    "x" * 5000,
    "y" * 5000,
    "\ud800",
    "../../etc",
    "a\x00b",
]
ODD_NAMES += [
    "manual__2026-01-01T00:00:00+00:00",
    "manual__2026-01-01T00/00/00+00/00",
    "manual__2026-01-01T00_00_00_00_00",
]
ODD_NAMES += [f"a_b-{hashlib.sha256(name.encode()).hexdigest()[:12]}" for name in ("a/b", "a:b", "a_b")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def places_in(folder: Path) -> Places:
    return Places(str(folder / "store"), str(folder / "models"), folder / "work", "none")


def check_line(error: BaseException) -> str:
    text = str(error)
    assert text.isprintable(), repr(text)
    assert len(text) <= MAX_LINE + 3
    return text


def test_names_of_runs_that_differ_at_all_have_different_keys(tmp_path: Path):
    keys = [Run(places_in(tmp_path), name).key for name in ODD_NAMES]
    assert len(set(keys)) == len(ODD_NAMES)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_folder_of_a_run_lies_below_the_work_whatever_its_name(tmp_path: Path, name: str):
    run = Run(places_in(tmp_path), name)
    assert run.folder.parent == tmp_path / "work"
    (run.folder / "raw").mkdir(parents=True)
    (run.folder / "raw" / "a").write_text("a")
    (tmp_path / "work" / "another").mkdir()
    run.save("raw")
    run.clear()
    assert (run.restore("raw") / "a").read_text() == "a"
    assert (tmp_path / "work" / "another").is_dir()


def test_what_is_no_run_stands_in_no_ones_way(tmp_path: Path, store: Store):
    for key in ("runs/stray", "runs/a/stray", "runs/a/b/c/index.json"):
        store.write(key, b"{}")
    assert prune_runs(places_in(tmp_path), keep=1) == []


@pytest.mark.parametrize("path", LEADING_OUT + UNFIT)
def test_an_index_that_names_what_is_no_file_of_the_tree_is_refused_before_anything_is_written(
    tmp_path: Path, store: Store, path: str
):
    good = b"good"
    write_index(store, {"a.txt": sha256(good), path: sha256(good)})
    store.write("tree/a.txt", good)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SyncError) as refused:
        download_tree(store, "tree", tmp_path / "here" / "below")
    assert "tree/index.json" in check_line(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_index_whose_files_are_folders_of_others_is_refused_before_anything_is_written(tmp_path: Path, store: Store):
    write_index(store, {"a": sha256(b"x"), "a/b": sha256(b"x")})
    with pytest.raises(SyncError, match=r"tree/index\.json"):
        download_tree(store, "tree", tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 200_000,
        b'{"created": "\xff", "files": {}}',
        b'{"created": 1, "files": {}}',
        b'{"files": {"a": 1}}',
    ],
    ids=["empty", "binary", "deep", "no UTF-8", "wrong type", "no date"],
)
def test_an_index_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, store: Store, data: bytes):
    store.write("tree/index.json", data)
    with pytest.raises(SyncError) as refused:
        download_tree(store, "tree", tmp_path / "here")
    assert "tree/index.json" in check_line(refused.value)


def test_a_file_that_is_not_what_the_index_says_does_not_stay(tmp_path: Path, store: Store):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_bytes(b"good")
    upload_tree(tmp_path / "there", store, "tree")
    store.write("tree/a.txt", b"evil")
    with pytest.raises(SyncError, match="is not what the index says"):
        download_tree(store, "tree", tmp_path / "here")
    assert not list((tmp_path / "here").rglob("*.*"))


def correct(store: Store, data: bytes, name: str | None = None, **changes: Any) -> str:
    """An accepted correction, and what is false about it."""
    record = {"sha256": sha256(data), "label": "grass", "received": "2026", "reviewed": "accepted"} | changes
    key = f"feedback/grass/{name or sha256(data)}"
    store.write(f"{key}.jpeg", data)
    store.write(f"{key}.json", json.dumps(record).encode())
    return key


def test_a_photo_that_is_not_the_one_that_was_accepted_is_not_trained_on(tmp_path: Path, store: Store):
    raw = write_photos(tmp_path / "raw", 1)
    before = sorted(raw.rglob("*"))
    key = correct(store, photo("grass", 7))
    store.write(f"{key}.jpeg", photo("dandelion", 8))
    with pytest.raises(ReviewError, match=r"is not the photo that was accepted; delete it") as refused:
        bring_accepted(store, raw)
    assert key in check_line(refused.value)
    assert sorted(raw.rglob("*")) == before


def test_a_photo_that_is_not_the_recorded_one_is_not_shown_to_who_reviews(tmp_path: Path, store: Store):
    correct(store, photo("grass", 7), reviewed=None)
    assert write_review_page(store, tmp_path / "page.html") == 1
    assert "data:image" in (tmp_path / "page.html").read_text()
    store.write(f"feedback/grass/{sha256(photo('grass', 7))}.jpeg", photo("dandelion", 8))
    write_review_page(store, tmp_path / "page.html")
    assert "data:image" not in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("name", ["x" * 245, "é" * 120, "a b", "\u202e"])
def test_a_correction_of_any_name_is_laid_into_its_folder_under_its_hash(tmp_path: Path, store: Store, name: str):
    raw = write_photos(tmp_path / "raw", 1)
    correct(store, photo("grass", 7), name)
    if name == "\u202e":  # which is no file of any tree
        assert bring_accepted(store, raw) == 0
    else:
        assert bring_accepted(store, raw) == 1
        assert (raw / "grass" / f"feedback-{sha256(photo('grass', 7))}.jpeg").is_file()


@pytest.mark.parametrize(("sent", "folder"), [("e\u0301pine", "\u00e9pine"), ("\u00e9pine", "e\u0301pine")])
def test_a_correction_in_another_normal_form_is_reviewed_and_joins_the_class(
    tmp_path: Path, store: Store, sent: str, folder: str
):
    raw = write_photos(tmp_path / "raw", 1, ("grass", folder))
    correct(store, photo("grass", 7), label=sent, reviewed=None)
    assert review(store, sha256(photo("grass", 7))[:12], "accepted", label=folder).label == sent
    assert bring_accepted(store, raw) == 1
    assert (raw / folder / f"feedback-{sha256(photo('grass', 7))}.jpeg").is_file()
    assert sorted(each.name for each in raw.iterdir()) == sorted(["grass", folder])


@pytest.mark.parametrize(
    "changes",
    [
        {"label": label}
        for label in ("../../x", "/x", "a/b", "..", ".x", "", "a\n", "\x1b[2J", "\u202ea", "x" * 101, None, 7)
    ]
    + [{"sha256": digest} for digest in ("", "../x", "0" * 63, "A" * 64, "0" * 64 + "\n", None, ["0" * 64])]
    + [{"reviewed": "perhaps\n\x1b[2J"}, {"received": "x" * 101}, {"predicted": "x" * 5000}, {"version": 1}],
)
def test_a_hostile_record_is_refused_in_one_line_that_names_it(tmp_path: Path, store: Store, changes: dict[str, Any]):
    raw = write_photos(tmp_path / "raw", 1)
    before = sorted(tmp_path.rglob("*"))
    key = correct(store, photo("grass", 7), **changes)
    with pytest.raises(ReviewError) as refused:
        bring_accepted(store, raw)
    assert f"{key}.json" in check_line(refused.value)
    assert {file for file in tmp_path.rglob("*") if "store" not in file.parts} == set(before)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 16_000, b'{"sha256": "\xff"}', b" " * 20_000, b"[]"])
def test_a_record_that_cannot_be_read_is_refused_in_one_line(store: Store, data: bytes):
    store.write(f"{correct(store, photo('grass', 7))}.json", data)
    with pytest.raises(Refusal) as refused:
        corrections(store)
    assert "feedback/grass/" in check_line(refused.value)


@pytest.mark.parametrize("path", LEADING_OUT + UNFIT[:-1])
def test_a_dataset_whose_photo_leaves_its_folder_is_refused(tmp_path: Path, path: str):
    folder = tmp_path / "processed"
    prepare(write_photos(tmp_path / "raw", 6), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["photos"][0]["path"] = path
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError) as refused:
        Dataset.open(folder)
    assert "manifest.json" in check_line(refused.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 200_000, b'{"labels": ["\xff"]}'])
def test_a_dataset_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, data: bytes):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(DatasetError, match=r"manifest\.json.*run `python -m training prepare` again") as refused:
        Dataset.open(tmp_path)
    check_line(refused.value)


def write_index(store: Store, files: dict[str, str]) -> None:
    store.write("tree/index.json", json.dumps({"created": "2026", "files": files}).encode())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
