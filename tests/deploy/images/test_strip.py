"""What strip.py cuts off a library is nothing that the loader needs."""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path

import pytest
import uvloop.loop

from tests.deploy.engine import ROOT

sys.path.insert(0, str(ROOT / "deploy" / "appliance"))
import strip


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library that carries debugging information in its wheel."""
    return Path(shutil.copy(uvloop.loop.__file__, tmp_path))


def test_a_library_is_loaded_as_before_once_it_is_cut(library: Path) -> None:
    before = library.stat().st_size
    saved = strip.strip(library)
    assert saved > before / 2
    assert library.stat().st_size == before - saved
    assert ctypes.PyDLL(str(library)).PyInit_loop
    assert strip.strip(library) == 0


def test_what_is_no_library_or_has_little_to_lose_stays_as_it_is(tmp_path: Path, library: Path) -> None:
    text = tmp_path / "linker-script.so"
    text.write_text("INPUT(libother.so)")
    assert strip.strip(text) == 0
    strip.strip(library)
    with library.open("ab") as file:
        file.write(b"\0" * (strip.LEAST_BYTES - 1))
    content = library.read_bytes()
    assert strip.strip(library) == 0
    assert library.read_bytes() == content
