"""A bundle as one file, for hosts without a network: an uncompressed tar of its folder."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.bundle import MANIFEST, Bundle, BundleError
from runtime.models.catalogue import SIGNATURE

MAX_BYTES = 2**30  # unpacked: a hundred times the default bundle
MAX_FILES = 16


def pack(bundle: Bundle, file: Path) -> None:
    """Write a verified bundle, with its signature if it has one, to `file`, which appears only when it is whole."""
    part = file.with_name(f".{file.name}.partial")
    names = [MANIFEST, *bundle.manifest.files, *([SIGNATURE] if (bundle.path / SIGNATURE).is_file() else [])]
    try:
        with tarfile.open(part, "w") as tar:
            for name in names:
                tar.add(bundle.path / name, f"{bundle.manifest.version}/{name}", filter=_anonymous)
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BundleError(f"{file}: {error.strerror}; choose another place") from error


@contextmanager
def unpacked(file: Path) -> Iterator[Path]:
    """The folder of the bundle in `file`, for the length of the block; nothing in it has been verified yet.

    Raises BundleError for a file that is no such archive, that is too large, or that holds anything but plain files
    of one folder.
    """
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with tarfile.open(file, "r:") as tar:
                members = [member for member in tar.getmembers() if not _is_top_folder(member)]
                folder = _only_folder(file, members)
                Path(temporary, folder).mkdir(exist_ok=True)
                for member in members:
                    _write(tar, member, Path(temporary, member.name))
        except (tarfile.TarError, EOFError) as error:
            raise BundleError(f"{file}: is not a bundle archive ({error}); make one with `models export`") from error
        yield Path(temporary) / folder


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> None:
    """Write what a plain file holds and nothing else of it; `extractall` has a filter for that from Python 3.11.4."""
    content = tar.extractfile(member)
    if content is not None:  # as it is for a plain file
        with content, file.open("wb") as out:
            shutil.copyfileobj(content, out)


def _is_top_folder(member: tarfile.TarInfo) -> bool:
    """Whether this entry is only the folder itself, as a plain `tar cf` of a bundle's folder writes it."""
    return member.isdir() and "/" not in member.name and member.name not in {".", ".."}


def _only_folder(file: Path, members: list[tarfile.TarInfo]) -> str:
    folders = {member.name.split("/")[0] for member in members}
    plain = all(member.isreg() and _is_plain(member.name) for member in members)
    if len(folders) != 1 or not plain:
        raise BundleError(f"{file}: holds other things than one bundle; make it with `models export`")
    if len(members) > MAX_FILES or sum(member.size for member in members) > MAX_BYTES:
        raise BundleError(f"{file}: is larger than any bundle; do not trust it")
    return folders.pop()


def _is_plain(name: str) -> bool:
    """Whether this is the name of a file in a folder, which leads nowhere else."""
    folder, _, file = name.partition("/")
    return bool(folder) and file not in {"", "."} and "/" not in file and ".." not in name


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
