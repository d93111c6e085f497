"""Labelled files: class folders however they are laid out, and tables as spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.teaching.from_files.labelled_files import NoPhotos, in_folder, in_table


def lay(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x")
    return folder


def test_classes_are_folders_and_what_is_hidden_or_foreign_is_passed_over(tmp_path: Path) -> None:
    lay(
        tmp_path,
        "gate open/1.jpg",
        "gate open/2024/june/2.jpg",
        "shut/1.jpg",
        "shut/.hidden.jpg",
        "shut/Thumbs.db",
        "shut/@eaDir/1.jpg",
        ".git/1.jpg",
        "__MACOSX/1.jpg",
        "(unknown)/1.jpg",
        "loose.jpg",
    )
    (tmp_path / "empty").mkdir()
    found = [(file.path.relative_to(tmp_path).as_posix(), file.label) for file in in_folder(tmp_path)]
    assert found == [
        ("gate open/1.jpg", "gate open"),
        ("gate open/2024/june/2.jpg", "gate open"),
        ("shut/1.jpg", "shut"),
    ]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "holds no photos in class folders; make a folder for each class"),
        (["1.jpg"], "holds no photos in class folders"),
        (["Shut/1.jpg", "shut/1.jpg"], "differ in nothing but case"),
        ([f"{'x' * 101}/1.jpg"], "is no label"),
    ],
)
def test_a_folder_without_classes_is_refused(tmp_path: Path, files: list[str], says: str) -> None:
    with pytest.raises(NoPhotos, match=says):
        in_folder(lay(tmp_path, *files))


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoPhotos, match="is not a folder; give one that holds a folder of photos for each class"):
        in_folder(tmp_path / "missing")


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.jpg,open\nsub/b.jpg,shut\n",
        "\ufeffid,Label,PATH\n1,open,a.jpg\n2,shut,sub/b.jpg\n",
        "a.jpg,open\n\nsub/b.jpg, shut \n",
        '"a.jpg","open"\r\n"sub/b.jpg","shut"\r\n',
    ],
    ids=["header", "columns of a spreadsheet", "no header", "quoted"],
)
def test_a_table_lists_paths_and_labels(tmp_path: Path, text: str) -> None:
    (tmp_path / "photos.csv").write_text(text, encoding="utf-8")
    assert in_table(tmp_path / "photos.csv") == [(tmp_path / "a.jpg", "open"), (tmp_path / "sub/b.jpg", "shut")]
    assert in_table(tmp_path / "photos.csv", tmp_path / "y")[0].path == tmp_path / "y" / "a.jpg"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; write a line"),
        ("path,label\n", "lists no photos"),
        ("a,b,c\n1,2,3\n", "has neither two columns nor a header with `path` and `label`"),
        ("path,label\na.jpg,open\nb.jpg,\n", r"photos\.csv, line 3: lacks the path or the label"),
        ("path,label\na.jpg\n", "line 2: lacks the path or the label"),
        ("path,label\na.jpg,(unknown)\n", "is no class; photos of none of the classes need not be taught"),
        ("path,label\na.jpg,a/b\n", "'a/b' is no label"),
        ("path,label\na.jpg,x\nb.jpg,X\n", "differ in nothing but case"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "photos.csv").write_text(text)
    with pytest.raises(NoPhotos, match=says):
        in_table(tmp_path / "photos.csv")


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoPhotos, match=r"cannot be read .* save it as CSV in UTF-8"):
        in_table(tmp_path / "missing.csv")
    (tmp_path / "latin.csv").write_bytes("été.jpg,x".encode("latin-1"))
    with pytest.raises(NoPhotos, match="save it as CSV in UTF-8"):
        in_table(tmp_path / "latin.csv")
