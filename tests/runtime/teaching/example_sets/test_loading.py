"""Example sets: drawn ones need nothing, public ones are checked, resumed, and say what is missing."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.host.photo_limits import DEFAULT_LIMITS
from runtime.teaching.example_sets import public as public_module
from runtime.teaching.example_sets.drawn import EACH, LABELS, drawn_photos
from runtime.teaching.example_sets.loading import DRAWN, PUBLIC, ExampleLoader, example_sets
from runtime.teaching.example_sets.public import PublicPhoto, PublicPhotos, public_photos
from runtime.teaching.workspace.errors import Conflict, NotThere
from runtime.teaching.workspace.records import Loading
from runtime.teaching.workspace.workspace import Workspace
from tests.support.photos import write_photos
from tests.support.waiting import wait_until
from tests.support.web.photo_sources import Quiet, misbehaving, serving


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_module, "PAUSE_S", 0.01)


def listed(folder: Path, base_url: str) -> PublicPhotos:
    files = sorted(folder.rglob("*.jpg"))
    return PublicPhotos(
        base_url,
        [
            PublicPhoto(
                file.relative_to(folder).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
            )
            for file in files
        ],
    )


def load(loader: ExampleLoader, workspace: Workspace, dataset: str, name: str = PUBLIC) -> Loading:
    loader.load(workspace, dataset, name)

    def ended() -> Loading | None:
        loading = loader.of(dataset)
        return loading if loading and loading.state != "loading" else None

    loading: Loading = wait_until(ended)
    return loading


def loader_of(public: PublicPhotos | None = None) -> tuple[ExampleLoader, list[str]]:
    outcomes: list[str] = []
    return ExampleLoader(DEFAULT_LIMITS, outcomes.append, public=public), outcomes


def test_the_drawn_set_needs_nothing_and_is_the_same_every_time(workspace: Workspace) -> None:
    dataset = workspace.datasets.create("x")
    loader, outcomes = loader_of()
    loading = load(loader, workspace, dataset, DRAWN)
    assert (loading.state, loading.done, loading.total) == ("done", 2 * EACH, 2 * EACH)
    assert outcomes == ["added"] * (2 * EACH)
    assert [(each.label, each.photos) for each in workspace.datasets.classes(dataset)] == [
        (label, EACH) for label in LABELS
    ]
    page = workspace.photos.page(dataset, "", limit=100)
    assert {photo.source for photo in page.photos} == {"example"}
    assert [photo.id for photo in page.photos] == [hashlib.sha256(one.data).hexdigest() for one in drawn_photos()]
    assert load(loader, workspace, dataset, DRAWN).done == 2 * EACH
    assert outcomes[2 * EACH :] == ["there_already"] * (2 * EACH)


def test_one_undo_takes_an_example_set_back(workspace: Workspace) -> None:
    dataset = workspace.datasets.create("x")
    load(loader_of()[0], workspace, dataset, DRAWN)
    assert workspace.datasets.get(dataset, "").undo == "examples"
    workspace.photos.undo(dataset)
    assert workspace.photos.known() == []


def test_public_photos_come_with_their_labels_and_only_those_that_are_missing(
    workspace: Workspace, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Counting(Quiet):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    folder = write_photos(tmp_path / "photos", 6)
    dataset = workspace.datasets.create("x")
    with serving(folder, Counting) as url:
        public = listed(folder, url)
        loader, _ = loader_of(public)
        assert load(loader, workspace, dataset).state == "done"
        assert {each.label: each.photos for each in workspace.datasets.classes(dataset)} == {
            "dandelion": 6,
            "grass": 6,
        }
        assert len(asked) == len(public.photos)
        photos = workspace.photos.page(dataset, "").photos
        workspace.photos.remove(dataset, [photos[0].id])
        assert load(loader, workspace, dataset).done == len(public.photos)
        assert len(asked) == len(public.photos) + 1


def test_without_a_network_a_sentence_says_what_to_do_and_it_can_be_resumed(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = write_photos(tmp_path / "photos", 3)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    dataset = workspace.datasets.create("x")
    loader, _ = loader_of(listed(folder, f"http://127.0.0.1:{port}"))
    failed = load(loader, workspace, dataset)
    assert failed.state == "failed"
    assert failed.detail
    assert f"cannot be fetched from 127.0.0.1:{port}" in failed.detail
    assert "they need a network, the drawn ones do not" in failed.detail
    with serving(folder, port=port):
        assert load(loader, workspace, dataset).state == "done"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda handler: handler.send_error(404), "the server answered 404"),
        (lambda handler: _send(handler, b"x" * 1000), "is not the photo that was recorded"),
        (lambda _: None, "cannot be fetched"),
    ],
    ids=["missing", "altered", "no answer"],
)
def test_a_server_that_has_something_else_is_named_and_what_came_stays(
    workspace: Workspace, tmp_path: Path, answer: Callable[[Quiet], None], says: str
) -> None:
    folder = write_photos(tmp_path / "photos", 3)
    dataset = workspace.datasets.create("x")
    with serving(folder, misbehaving(answer)) as url:
        failed = load(loader_of(listed(folder, url))[0], workspace, dataset)
    assert failed.state == "failed"
    assert says in (failed.detail or "")
    assert all(workspace.files.photo(*each).exists() for each in workspace.photos.known())


def _send(handler: Quiet, data: bytes) -> None:
    handler.send_response(200)
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def test_two_sets_at_once_and_unknown_ones_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    go = threading.Event()

    class Slow(Quiet):
        def translate_path(self, path: str) -> str:
            go.wait(30)
            return super().translate_path(path)

    folder = write_photos(tmp_path / "photos", 2)
    dataset = workspace.datasets.create("x")
    with serving(folder, Slow) as url:
        loader, _ = loader_of(listed(folder, url))
        loader.load(workspace, dataset, PUBLIC)
        with pytest.raises(Conflict, match="are being loaded; wait for their end"):
            loader.load(workspace, dataset, DRAWN)
        go.set()
        wait_until(lambda: (loading := loader.of(dataset)) and loading.state == "done")
    with pytest.raises(NotThere, match="there is no example set 'moon'; there are drawn, public"):
        loader.load(workspace, dataset, "moon")
    with pytest.raises(NotThere, match="no dataset"):
        loader.load(workspace, "0" * 16, DRAWN)


def test_the_recorded_list_is_whole() -> None:
    public = public_photos()
    assert len(public.photos) == 400
    assert {photo.label for photo in public.photos} == {"dandelion", "grass"}
    assert [(each.id, each.photos) for each in example_sets()] == [(DRAWN, 48), (PUBLIC, 400)]
    assert public.base_url.startswith("https://")
