"""The prebuilt library: what its source compiles to, described for scanners, refused if damaged or different."""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import re
import struct
import tomllib
from pathlib import Path

import pytest

from runtime.native import library as native_library
from runtime.native import steps
from runtime.native.layout import ISA, LAYOUTS
from runtime.native.library import PREBUILT, SUMS, Job, Step, Taps, check_sum, library, load, prebuilt
from tests.runtime.native.models import COMPILED, HAS_PREBUILT, ROOT, loads_prebuilt, make

KERNEL = ROOT / "runtime" / "native" / "kernel"
HEADER = (KERNEL / "api.h").read_text()
MACHINES = {"x86_64": 62, "aarch64": 183}  # by e_machine of ELF
LIBRARIES = [prebuilt(machine) for machine in MACHINES]
VERSION = re.search(r'DANDELION_KERNEL_VERSION "(.+)"', HEADER)


def test_the_compiled_kernels_are_what_their_source_compiles_to(tmp_path: Path) -> None:
    make("kernel", f"PREBUILT={tmp_path}")
    made = {file.name for file in PREBUILT.iterdir()} - {"README.md"}
    assert made == {*(library.name for library in LIBRARIES), "SHA256SUMS", "dandelion-kernel.cdx.json"}
    for name in made:
        assert (tmp_path / name).read_bytes() == (PREBUILT / name).read_bytes(), "run `make kernel` and commit"


def test_the_read_me_gives_the_command_that_makes_it() -> None:
    page = (PREBUILT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    flags = re.search(r"ziglang cc -target \$\(KERNEL_TARGET\) (.+?) \\\n\t\t(.+?) \$\(KERNEL_FLAGS\)", makefile)
    assert flags
    for words in (flags[1], flags[2]):
        assert page.count(words) == len(MACHINES)
    for machine, cpu in (("x86_64", "x86_64"), ("aarch64", "generic")):
        assert f"-target {machine}-linux-gnu.2.28 -mcpu={cpu} " in page
    assert "KERNEL_TARGET = $*-linux-gnu.2.28 -mcpu=$(if $(filter x86_64,$*),x86_64,generic)" in makefile
    compilers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    (compiler,) = (each for each in compilers if each.startswith("ziglang=="))
    assert compiler in page


def test_sums_and_sbom_are_those_of_the_libraries() -> None:
    digests = {library.name: hashlib.sha256(library.read_bytes()).hexdigest() for library in LIBRARIES}
    assert SUMS.read_text() == "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (component,) = json.loads((PREBUILT / "dandelion-kernel.cdx.json").read_text())["components"]
    assert VERSION
    assert (component["name"], component["version"]) == ("dandelion-kernel", VERSION[1])
    assert component["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert component["components"] == [
        {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
        for name, digest in digests.items()
    ]


@pytest.mark.parametrize("machine", MACHINES)
def test_each_library_is_of_its_processor_family(machine: str) -> None:
    made = prebuilt(machine).read_bytes()
    assert made[:5] == b"\x7fELF\x02"  # of 64 bits
    assert struct.unpack_from("<H", made, 18) == (MACHINES[machine],)
    check_sum(prebuilt(machine), SUMS)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_library_carries_a_package_note_that_scanners_of_images_read(machine: str) -> None:
    note = _section(prebuilt(machine).read_bytes(), ".note.package")
    name_bytes, note_bytes, kind = struct.unpack_from("<III", note)
    assert (note[12 : 12 + name_bytes], kind) == (b"FDO\0", 0xCAFE1A7E)
    assert VERSION
    assert json.loads(note[16 : 16 + note_bytes].rstrip(b"\0")) == {
        "type": "generic",
        "name": "dandelion-kernel",
        "version": VERSION[1],
        "license": "Apache-2.0",
    }


def test_a_damaged_library_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = bytearray(COMPILED.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / COMPILED.name).write_bytes(damaged)
    with pytest.raises(OSError, match=r"its SHA-256 is .*, which SHA256SUMS does not say; run `make kernel`"):
        check_sum(tmp_path / COMPILED.name, SUMS)
    check_sum(COMPILED, SUMS)
    if HAS_PREBUILT:
        monkeypatch.setattr(native_library, "PREBUILT", tmp_path)
        monkeypatch.delenv("DANDELION_NATIVE", raising=False)
        with caplog.at_level(logging.WARNING):
            assert library.__wrapped__() is None
        assert "the native kernel does not load" in caplog.text


def swapped(structure: type[ctypes.Structure], first: str, second: str) -> type[ctypes.Structure]:
    """The same structure with two of its fields in each other's place."""
    other = {first: second, second: first}
    fields = [(other.get(name, name), kind) for name, kind, *_ in structure._fields_]
    return type(structure.__name__, (ctypes.Structure,), {"_fields_": fields})


@loads_prebuilt
@pytest.mark.parametrize(
    ("structure", "first", "second"),
    [(Step, "tiles", "rows"), (Step, "bias", "scale"), (Job, "photos", "isa"), (Taps, "first", "count")],
)
def test_a_library_with_two_fields_swapped_is_refused(
    structure: type[ctypes.Structure], first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = swapped(structure, first, second)
    assert ctypes.sizeof(other) == ctypes.sizeof(structure)
    load(COMPILED)
    monkeypatch.setattr(native_library, structure.__name__, other)
    with pytest.raises(OSError, match=rf"another release: `{structure.__name__}\.({first}|{second})` is laid"):
        load(COMPILED)


@loads_prebuilt
def test_a_library_with_one_field_more_or_less_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for fields in ([*Job._fields_, ("more", ctypes.c_int32)], Job._fields_[:-1]):
        monkeypatch.setattr(native_library, "Job", type("Job", (ctypes.Structure,), {"_fields_": fields}))
        with pytest.raises(OSError, match=r"is of another release: `Job"):
            load(COMPILED)


@loads_prebuilt
def test_a_library_that_does_not_describe_itself_is_refused() -> None:
    other = next(Path("/lib").glob("*-linux-gnu/libm.so*"), None) or pytest.skip("needs another library")
    with pytest.raises(OSError, match="does not describe its structures"):
        load(other)


def test_numbers_of_kinds_and_instruction_sets_are_those_of_the_header() -> None:
    assert set(LAYOUTS) == ISA.keys() - {"reference"}
    sets, kinds = (each.split(", ") for each in re.findall(r"enum \{ (.+) \};", HEADER))
    assert [f"ISA_{name.upper()}" for name, _ in sorted(ISA.items(), key=lambda item: item[1])] == sets
    assert [getattr(steps, name) for name in kinds] == list(range(len(kinds)))
    assert f"#define MAX_STEPS {steps.MAX_STEPS} " in HEADER


def _section(elf: bytes, wanted: str) -> bytes:
    """A section of a 64-bit little-endian ELF file."""
    (table,), (entries, names) = struct.unpack_from("<Q", elf, 40), struct.unpack_from("<HH", elf, 60)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + 64 * i) for i in range(entries)]
    strings = headers[names][4]
    found = {elf[strings + each[0] :].split(b"\0", 1)[0].decode(): each for each in headers}
    return elf[found[wanted][4] :][: found[wanted][5]]
