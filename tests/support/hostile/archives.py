"""Archives that are no bundle of ours: what a tar can say of its members, falsely."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from runtime.bundle.manifest import MANIFEST, MODEL

BLOCK = 512


class HostileArchive(NamedTuple):
    """One variation: `make` takes the folder of a good bundle and the file that must stay as it is."""

    what: str
    make: Callable[[Path, Path], bytes]


def member(name: str = f"v1/{MODEL}", data: bytes = b"x", kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    """Header and content of one member, as tarfile writes them."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT if info.pax_headers else tarfile.GNU_FORMAT) + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def archive(*members: bytes) -> bytes:
    return b"".join(members) + bytes(2 * BLOCK)


def packed(bundle: Path) -> bytes:
    """The good bundle."""
    return archive(*(member(f"v1/{name}", (bundle / name).read_bytes()) for name in (MANIFEST, MODEL)))


def said(size: int, kind: bytes = tarfile.REGTYPE, data: bytes = b"x") -> bytes:
    """A member whose header says another size than it has; larger ones and negative ones in base 256."""
    info = tarfile.TarInfo(f"v1/{MODEL}")
    info.size, info.type = max(size, 0), kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if size < 0:
        header[124:136] = b"\xff" + (256**11 + size).to_bytes(11, "big")
        header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    return bytes(header) + padded(data)


def variations() -> list[HostileArchive]:
    """All of them, each with a good bundle before or after it where that is what makes it dangerous."""
    return [*_names(), *_kinds(), *_pax(), *_sizes(), *_contents()]


def _names() -> Iterator[HostileArchive]:
    names = ["v1/../../evil", "../evil", "..", "v1/..", "v1/.", "v1//a", "v1/sub/a", "v1\\a", "v1/a\nb", "v1/\x1b[2J"]
    names += [
        ".v1/a",
        "v1/.a",
        "v1/ a",
        "v1/a ",
        "-v/a",
        "v1",
        "a",
        "",
        "./v1/../../evil",
        "C:/a",
        "v1/é",
        "v1/\u202ea",
    ]
    names += ["v1/" + "x" * 300, "x" * 300 + "/a", "v1/" + "x" * 60_000, "v1/" + "x" * 200_000, "a/" * 200]
    for name in names:
        yield HostileArchive(f"name {name[:30]!r}", lambda bundle, _, name=name: archive(member(name)) + packed(bundle))
    for form in ("{}", "/{}", "v1/{}", "v1/../../../../../../../..{}"):
        yield HostileArchive(f"{form} of the canary", lambda _, canary, form=form: archive(member(form.format(canary))))
    yield HostileArchive("two folders", lambda *_: archive(member("v1/a"), member("v2/a")))
    yield HostileArchive("a folder that is no version", lambda *_: archive(member("v 1/", b"", tarfile.DIRTYPE)))
    yield HostileArchive("another version", lambda bundle, _: packed(bundle).replace(b"v1/m", b"v9/m", 1))


def _kinds() -> Iterator[HostileArchive]:
    kinds = {"symbolic": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}
    for what, kind in kinds.items():
        yield HostileArchive(
            f"a {what} link",
            lambda bundle, canary, kind=kind: archive(member("v1/a", b"", kind, linkname=str(canary))) + packed(bundle),
        )
        yield HostileArchive(
            f"a file through a {what} link",
            lambda _, canary, kind=kind: archive(
                member("v1", b"", kind, linkname=str(canary.parent)), member(f"v1/{canary.name}", b"evil")
            ),
        )
    others = {"character device": b"3", "block device": b"4", "pipe": b"6", "contiguous": b"7", "unknown": b"Z"}
    for what, kind in others.items():
        yield HostileArchive(what, lambda _, __, kind=kind: archive(member("v1/a", b"", kind)))
    yield HostileArchive("a folder inside", lambda *_: archive(member("v1/sub/", b"", tarfile.DIRTYPE)))
    yield HostileArchive("nothing but the folder", lambda *_: archive(member("v1/", b"", tarfile.DIRTYPE)))


def _pax() -> Iterator[HostileArchive]:
    headers: list[dict[str, str]] = [
        {"path": path} for path in ("v1/a\x00b", "\x00", "/evil", "v1/../../evil", "x" * 300)
    ]
    headers += [{"size": size} for size in ("abc", "-1", str(2**62), "9" * 5000)]
    headers += [{"path": "v1/é\n"}, {"mtime": "nan"}, {"hdrcharset": "BINARY", "path": "v1/\udcff"}]
    headers += [{"GNU.sparse.map": "a,b"}, {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**29)}]
    headers += [{"GNU.sparse.size": "x"}, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}]
    headers += [{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**29)}]
    headers += [{"GNU.sparse.numblocks": "1", "GNU.sparse.offset": "-1", "GNU.sparse.numbytes": "z"}]
    for header in headers:
        make = lambda _, __, header=header: archive(member("v1/a", b"1\n0\n1\n", pax_headers=header))  # noqa: E731
        yield HostileArchive(f"PAX {str(header)[:40]}", make)
    long = {"comment": "x" * 200_000}
    yield HostileArchive("a PAX header of 200 KB", lambda *_: archive(member(pax_headers=long)))
    yield HostileArchive("PAX headers one in another", lambda *_: archive(*([said(0, tarfile.XHDTYPE, b"")] * 3000)))
    record = padded(b"13 path=v1/a\n")
    yield HostileArchive("a PAX record cut off", lambda *_: archive(said(9, tarfile.XHDTYPE, record), member()))
    yield HostileArchive(
        "no PAX record", lambda *_: archive(said(40, tarfile.XHDTYPE, b"999999999999 path="), member())
    )


def _sizes() -> Iterator[HostileArchive]:
    for size in (2**30 + 1, 2**33, 2**40, -1, -512, -(2**40)):
        yield HostileArchive(f"a member of {size}", lambda bundle, _, size=size: archive(said(size)) + packed(bundle))
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, b"S"):
        for size in (2**33, -513):
            make = lambda _, __, kind=kind, size=size: archive(said(size, kind))  # noqa: E731
            yield HostileArchive(f"a header {kind!r} of {size}", make)
    yield HostileArchive("long names one in another", lambda *_: archive(*([said(5, b"L", b"v1/a\0")] * 3000)))
    yield HostileArchive("5,000 members", lambda *_: archive(*(member(f"v1/{number}", b"") for number in range(5000))))
    yield HostileArchive("20 members", lambda *_: archive(*(member(f"v1/{number}") for number in range(20))))


def _contents() -> Iterator[HostileArchive]:
    yield HostileArchive(
        "a second manifest", lambda bundle, _: packed(bundle)[: -2 * BLOCK] + archive(member(f"v1/{MANIFEST}"))
    )
    yield HostileArchive("a second model", lambda bundle, _: packed(bundle)[: -2 * BLOCK] + archive(member()))
    for end in (0, 100, 511, 512, 700, 1500, 2600):
        yield HostileArchive(f"the first {end} bytes", lambda bundle, _, end=end: packed(bundle)[:end])
    yield HostileArchive("one changed byte", lambda bundle, _: packed(bundle).replace(b"Softmax", b"softmax"))
    yield HostileArchive(
        "no model", lambda bundle, _: archive(member(f"v1/{MANIFEST}", (bundle / MANIFEST).read_bytes()))
    )
    yield HostileArchive("no manifest", lambda bundle, _: archive(member(f"v1/{MODEL}", (bundle / MODEL).read_bytes())))
    yield HostileArchive("compressed", lambda bundle, _: gzip.compress(packed(bundle)))
    yield HostileArchive("a ZIP", lambda *_: b"PK\x03\x04" + bytes(1000))
    yield HostileArchive("zeros", lambda *_: bytes(10_240))
    yield HostileArchive("a wrong checksum", lambda bundle, _: b"x" + packed(bundle)[1:])
