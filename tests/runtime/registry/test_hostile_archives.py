"""Whatever is imported: one line that names the file, nothing outside of the cache, nothing half inside."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtime.__main__ import main
from runtime.bundle.manifest import MANIFEST
from runtime.registry.cache import Cache
from tests.support.hostile.archives import BLOCK, HostileArchive, archive, member, packed, variations
from tests.support.models.bundles import write_bundle

VARIATIONS = variations()
LONGEST_LINE = 600


class Host:
    """A host that imports archives: its cache, its folder for temporary files, and a file that is neither."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.bundle = write_bundle(folder / "v1")
        self.file = folder / "from-a-stranger.bundle"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.canary = folder / "outside" / "settings.py"
        self.canary.parent.mkdir()
        self.canary.write_text("good = 1\n")

    def imports(self, data: bytes) -> Result:
        self.file.write_bytes(data)
        return CliRunner().invoke(main, ["models", "import", str(self.file), "--cache", str(self.cache)])

    def tree(self) -> dict[str, int]:
        files = (file for file in self.file.parent.rglob("*") if file != self.file)
        return {str(file): file.lstat().st_mtime_ns for file in files if not file.is_dir()}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(host.temporary))
        yield host


def name_of(hostile: HostileArchive) -> str:
    return re.sub(r"[^\w.+-]+", "-", hostile.what, flags=re.ASCII)[:40]


def test_there_are_enough_archives():
    assert len(VARIATIONS) >= 40


@pytest.mark.parametrize("hostile", VARIATIONS, ids=name_of)
def test_a_hostile_archive_is_refused_in_one_line_and_leaves_nothing(host: Host, hostile: HostileArchive):
    before = host.tree()
    ran = host.imports(hostile.make(host.bundle, host.canary))
    assert ran.exit_code == 1, (ran.output, ran.exception)
    assert isinstance(ran.exception, SystemExit), repr(ran.exception)
    line = ran.stderr.removesuffix("\n")
    assert line.isprintable(), ran.stderr
    assert len(line) <= LONGEST_LINE
    assert str(host.file) in line
    assert host.tree() == before
    assert not list(host.temporary.iterdir())
    assert Cache(host.cache).versions() == []


def test_of_two_members_of_one_name_the_last_is_verified_and_kept(tmp_path: Path):
    host = Host(tmp_path)
    assert host.imports(member(f"v1/{MANIFEST}", b"{}") + packed(host.bundle)).exit_code == 0
    assert Cache(host.cache).open("v1").manifest.version == "v1"


def test_what_an_archive_says_of_rights_and_owners_is_not_taken_over(tmp_path: Path):
    host = Host(tmp_path)
    files = {file.name: file.read_bytes() for file in host.bundle.iterdir()}
    members = (member(f"v1/{name}", data, mode=0o6777, uid=0, uname="root") for name, data in files.items())
    assert host.imports(archive(*members)).exit_code == 0
    modes = {file.stat().st_mode & 0o7111 for file in Cache(host.cache).folder_of("v1").iterdir()}
    assert modes == {0}


def test_an_archive_may_end_without_its_empty_blocks(tmp_path: Path):
    host = Host(tmp_path)
    assert host.imports(packed(host.bundle)[: -2 * BLOCK]).exit_code == 0
