"""What is missing is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measurements.instructions import compiled
from benchmarks.measurements.instructions.arm64 import arm64_python
from benchmarks.measurements.instructions.cpus import CPUS
from benchmarks.measurements.instructions.emulation import count, emulate
from benchmarks.measurements.instructions.photos import COUNT, counted_photos
from runtime.errors import Refusal
from runtime.image import ImageSpec
from tests.support.host.emulated import CACHE
from tests.support.photos import write_photos
from tests.support.suite.system_packages import needs


def test_a_machine_without_the_emulator_is_told_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match="qemu-aarch64 is not installed; install Debian's package qemu-user"):
        emulate(CPUS["cortex-a72"], ["true"])


def test_an_emulator_that_loads_no_plugins_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "qemu-x86_64"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "qemu-x86_64 version 10.0.0" && exit\n'
        'echo "TCG plugin requires API version 1, but this QEMU supports only a minimum version of 2" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match=r"version 10.0.0 loads no plugins .*API version 1.*Debian 12's qemu-user 7.2"):
        count(CPUS["Nehalem"], ["true"], CACHE)


@pytest.mark.emulated
@needs("qemu-user")
def test_a_program_that_fails_is_quoted():
    with pytest.raises(Refusal, match=r"ls on Nehalem: .*nowhere"):
        emulate(CPUS["Nehalem"], ["/bin/ls", "/nowhere"])


def test_a_missing_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    with pytest.raises(Refusal, match=r"the compiler is not installed; .*`make check`"):
        compiled.plugin(tmp_path)


def test_a_machine_without_apt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match=r"apt-get is not installed: onnxruntime for ARM64 .*; use Debian 12"):
        arm64_python(tmp_path)


@pytest.mark.emulated
@needs("qemu-user")
def test_packages_that_cannot_be_fetched_are_named_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "apt.conf").write_text('Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null";')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    with pytest.raises(Refusal, match="Debian's packages for ARM64 cannot be fetched: E: Unable to locate package"):
        arm64_python(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_too_few_photos_are_refused(tmp_path: Path):
    write_photos(tmp_path / "photos", 1)
    with pytest.raises(Refusal, match=f"holds 2 JPEG photos, and {COUNT} are needed; name another with --photos"):
        counted_photos(tmp_path / "photos", ImageSpec(height=32, width=32))


def test_a_photo_that_does_not_decode_is_refused(tmp_path: Path):
    for number in range(COUNT):
        (tmp_path / f"{number}.jpg").write_bytes(b"\xff\xd8 no photo")
    with pytest.raises(Refusal, match="take that photo out, or name another folder with --photos"):
        counted_photos(tmp_path, ImageSpec(height=32, width=32))


def test_photos_are_taken_from_all_over_the_folder(tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 6)
    pixels, names = counted_photos(photos, ImageSpec(height=32, width=48))
    assert pixels.shape == (COUNT, 32, 48, 3)
    assert len({Path(name).parent for name in names}) == 2
