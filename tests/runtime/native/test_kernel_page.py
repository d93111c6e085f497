"""The kernel's design page: its C program compiles and computes, and its drawings are there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.runtime.native.models import COMPILED, ROOT, loads_prebuilt

PAGE = ROOT / "docs" / "kernel.md"
KERNEL = ROOT / "runtime" / "native" / "kernel"


@loads_prebuilt
def test_the_program_of_the_page_computes_a_product(tmp_path: Path) -> None:
    program = re.search(r"```c\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert program
    (tmp_path / "main.c").write_text(program[1])
    # The host's compiler, if there is one: ziglang would first build a C library to link with.
    compiler = [shutil.which("cc")] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]
    command = [*compiler, "-std=c17", "-O2", "-Wall", "-Werror", f"-I{KERNEL}", "-o", tmp_path / "main"]
    subprocess.run([*command, tmp_path / "main.c", COMPILED], check=True)
    told = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert told.split("\n") == ["0 0", "32 64", "64 128", "96 192", ""]  # 64 products, times 0.5


def test_the_page_names_the_files_and_drawings_that_there_are() -> None:
    page = PAGE.read_text()
    for drawing in re.findall(r"\((kernel-\w+\.svg)\)", page):
        assert ElementTree.parse(PAGE.with_name(drawing)).getroot().tag.endswith("svg")  # noqa: S314 - our own file
    for file in re.findall(r"`([\w/]+\.(?:c|h|py))`", page):
        assert any((folder / file).exists() for folder in (KERNEL, KERNEL.parent, ROOT)), file
