"""Bundle archives for air-gapped hosts: an uncompressed tar of one bundle, unpacked defensively."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runtime.bundle.manifest import MANIFEST, MAX_BUNDLE_BYTES, MAX_FILES, SIGNATURE, Bundle, BundleError
from runtime.host.atomic import temporary_folder, whole_file
from runtime.names import is_name

MAX_MEMBERS = MAX_FILES + 3  # with the manifest, its signature and the folder itself
MAX_ARCHIVE_BYTES = MAX_BUNDLE_BYTES + 2**22
MAX_SHOWN = 100  # characters of a member's name in an error
MAX_HEADER_BYTES = 2**16  # of one member: tarfile reads it at once, however large it says that it is


def pack(bundle: Bundle, file: Path) -> None:
    """Write a verified bundle, with its signature if it has one, to `file`, by an atomic rename."""
    names = [MANIFEST, *bundle.manifest.files, *([SIGNATURE] if (bundle.path / SIGNATURE).is_file() else [])]
    try:
        with whole_file(file) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name in names:
                tar.add(bundle.path / name, f"{bundle.manifest.version}/{name}", filter=_anonymous)
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}; choose another place") from error


@contextmanager
def unpacked(file: Path, parent: Path) -> Iterator[Path]:
    """Unpack the bundle in `file` to a temporary folder below `parent`; its content is not verified yet.

    Raises BundleError for a file that is no such archive, that is too large, or that holds anything but plain files
    of one folder, which is named as a version.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(parent) as temporary:
        try:
            _unpack(file, temporary)
        except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:  # tarfile leaks the last two
            raise BundleError(f"{file}: is not a bundle archive ({error}); make one with `models export`") from error
        except OSError as error:
            raise BundleError(f"{file}: {error.strerror}; look at the file and at the disk") from error
        try:
            yield next(temporary.iterdir())
        except BundleError as error:  # it names the temporary folder
            raise BundleError(str(error).replace(str(temporary), str(file))) from error


def _unpack(file: Path, target: Path) -> None:
    if file.stat().st_size > MAX_ARCHIVE_BYTES:
        raise BundleError(f"{file}: is larger than any bundle; do not trust it")
    with file.open("rb") as stream, tarfile.open(fileobj=_Bounded(stream), mode="r:") as tar:  # type: ignore[call-overload]
        members = list(_plain_files(file, tar))
        (target / _only_folder(file, members)).mkdir()
        for member in members:
            _write(tar, member, target / member.name)


class _Bounded:
    """A file that limits the size of one read: tarfile trusts the sizes in headers."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> None:
    """Write what a plain file holds and nothing else of it; `extractall` has a filter for that from Python 3.11.4."""
    content = tar.extractfile(member)
    if content is not None:  # as it is for a plain file
        with content, file.open("wb") as out:
            shutil.copyfileobj(content, out, MAX_HEADER_BYTES)


def _plain_files(file: Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members, without the folder itself, which a plain `tar cf` writes, too."""
    bytes_ = 0
    for number, member in enumerate(tar):
        bytes_ += member.size
        if number >= MAX_MEMBERS or bytes_ > MAX_BUNDLE_BYTES:
            raise BundleError(f"{file}: is larger than any bundle; do not trust it")
        if member.isdir() and is_name(member.name):
            continue
        if not _is_plain(member):
            raise BundleError(
                f"{file}: holds {member.name[:MAX_SHOWN]!r}, which no bundle holds; make it with `models export`"
            )
        yield member


def _only_folder(file: Path, members: list[tarfile.TarInfo]) -> str:
    folders = {member.name.split("/")[0] for member in members}
    if len(folders) != 1:
        raise BundleError(f"{file}: holds other things than one bundle; make it with `models export`")
    return folders.pop()


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether this is a regular file in a version's folder: no link, no sparse file."""
    folder, _, file = member.name.partition("/")
    is_file = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse() and member.size >= 0
    return is_file and is_name(folder) and is_name(file)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
