"""Which hosts `make run` serves on and what it installs there, told before pip is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "deploy" / "local"))
import check_host

HOST: dict[str, Any] = {
    "system": "Linux", "machine": "x86_64", "bits": 64, "libc": "glibc", "version": (2, 36),
    "flags": frozenset({"sse4_2"}),
}  # fmt: skip
ARM: dict[str, Any] = {"machine": "aarch64", "flags": None}
MUSL: dict[str, Any] = {"libc": "musl", "version": ()}
MACOS: dict[str, Any] = {"system": "Darwin", "machine": "arm64", "libc": "", "version": (14, 5), "flags": None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ui,onnxruntime"),
        (ARM, "ui,onnxruntime"),
        ({"version": (), "flags": None}, "ui,onnxruntime"),
        (MUSL, "ui"),
        ({**MUSL, **ARM}, "ui"),
        (MACOS, "ui,onnxruntime"),
    ],
)
def test_a_host_that_serves_gets_what_there_is_for_it(changes: dict[str, Any], expected: str) -> None:
    assert check_host.extras(**HOST | changes) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bits": 32}, "this Python is of 32 bits"),  # also on a kernel of 64, as Raspberry Pi OS has it
        ({**ARM, "bits": 32}, "this Python is of 32 bits"),
        ({"machine": "armv7l", "bits": 32}, "this Python is of 32 bits"),
        ({"machine": "riscv64"}, "neither wheels nor a native kernel for riscv64"),
        ({"machine": "ppc64le"}, "neither wheels nor a native kernel for ppc64le"),
        ({"version": (2, 17)}, "glibc 2.17 is too old, 2.28 is needed"),
        ({**MUSL, "version": (1, 1)}, "musl 1.1 is too old, 1.2 is needed"),
        ({"libc": ""}, "neither glibc nor musl"),
        ({"flags": frozenset({"ssse3"})}, "this processor has no SSE4.2"),
        ({**MACOS, "machine": "x86_64"}, "onnxruntime, of which there is no wheel for Intel"),
        ({**MACOS, "version": (13, 6)}, "onnxruntime needs macOS 14 or newer"),
        ({"system": "Windows", "machine": "AMD64"}, "Windows is not supported; use Linux"),
        ({"system": "FreeBSD"}, "FreeBSD is not supported"),
    ],
)
def test_a_host_that_cannot_serve_is_told_what_is_needed(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(check_host.CannotServe, match=reason) as refused:
        check_host.extras(**HOST | changes)
    assert "; use " in str(refused.value) or "; update " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_version_is_the_numbers_that_it_begins_with() -> None:
    assert check_host.numbers_of("2.36-9+deb12u4") == (2, 36)
    assert check_host.numbers_of("") == ()


def test_make_installs_nothing_where_the_host_cannot_serve(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nif [ "$1" = -c ]; then exit 0; fi\n{BITS_32}')
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "run", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert done.stderr.startswith("this host cannot serve: this Python is of 32 bits")
    assert not (tmp_path / "venv").exists()


# A Python of 32 bits, as far as the script can tell; it makes no environment.
BITS_32 = f"""case "$1" in
  *check_host.py) exec {sys.executable} -c "
import runpy, struct
struct.calcsize = lambda layout: 4
runpy.run_path('$1', run_name='__main__')" ;;
  *) exit 1 ;;
esac
"""
