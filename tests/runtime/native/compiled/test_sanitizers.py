"""AddressSanitizer and UndefinedBehaviorSanitizer find nothing in the kernel.

clang of the package ziglang instruments it; the runtime of AddressSanitizer, which that package has not, is GCC's.
Undefined behaviour traps (SIGILL), for which no runtime is needed.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from benchmarks.measurements.instructions.compiled import FLAGS, SOURCES, ZIG
from benchmarks.measurements.instructions.job_file import JobFile
from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of
from runtime.native.layout import FASTEST, LAYOUTS, Instructions
from runtime.native.library import Job, Step
from runtime.native.memory_planner import lay_out
from runtime.native.weight_packing import CACHE_LINE
from tests.runtime.native.models import CLASSES, library_of, model_of, photos
from tests.runtime.native.networks import random_network
from tests.support.suite.system_packages import needs

TILES = Path(__file__).parents[1] / "tiles.h"
PHOTOS = 3
SIZE, WIDTHS = 50, (32, 16, 48, 80, 16, 208, 96, 16)
# Each in a word of its own (findings/ziglang-two-sanitizers.sh).
SANITIZED = ["-O1", "-g", "-fsanitize=address", "-fsanitize=undefined", "-fsanitize-trap=undefined"]
HERE: tuple[Instructions, ...] = FASTEST.get(platform.machine(), ())
# The reference takes each layout; the others their own.
CASES = [("reference", layout) for layout in LAYOUTS] + [(name, name) for name in HERE]

pytestmark = needs("gcc")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _linked(tmp_path_factory.mktemp("sanitized"))


@pytest.fixture(scope="module")
def with_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with AMX's tiles in plain C, whose loads and stores are checked one by one."""
    return _linked(tmp_path_factory.mktemp("tiles"), "-include", str(TILES))


def _linked(folder: Path, *flags: str) -> Path:
    target = f"{platform.machine()}-linux-gnu.2.28"
    instrumented = folder / "run_job.o"
    subprocess.run(
        [*ZIG, "-target", target, "-c", *FLAGS, *SANITIZED, *flags, "-o", instrumented, *SOURCES], check=True
    )
    command = ["gcc", "-fsanitize=address", instrumented, "-o", folder / "run_job", "-lm", "-lpthread"]
    subprocess.run(command, check=True)
    return folder / "run_job"


def run_program(program: Path, job: JobFile, folder: Path) -> bytes:
    """What the program makes of a job; raises AssertionError with what it says where it ends otherwise."""
    ran = subprocess.run([program, *job.write(folder)], capture_output=True, check=False)
    assert ran.returncode == 0, f"exit {ran.returncode}: {ran.stderr.decode()[:4000]}"
    return ran.stdout


def program_for(instructions: Instructions, request: pytest.FixtureRequest) -> Path:
    """What runs a job of these instructions; the test is skipped if this processor cannot."""
    available = library_of("reference").available
    if instructions == "amx" and "vnni" in available and "amx" not in available:
        return request.getfixturevalue("with_tiles")
    if instructions not in {"reference", *available}:
        pytest.skip(f"needs a processor with {instructions}")
    return request.getfixturevalue("program")


@pytest.mark.parametrize("network", ["default", "narrow", 0, 2, 10, 11])
@pytest.mark.parametrize(("instructions", "layout"), CASES)
def test_nothing_is_found_in_a_job(
    instructions: Instructions,
    layout: Instructions,
    network: str | int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    program = program_for(instructions, request)
    if isinstance(network, int):
        plan = lay_out(random_network(network), layout)
    else:
        content = model_of(SIZE, widths=WIDTHS if network == "narrow" else (), shuffled=True)
        plan = plan_of(content, ImageSpec(height=SIZE, width=SIZE), CLASSES, layout)
    pixels = photos(PHOTOS, plan.image_size)
    expected = JobFile(plan, pixels, "reference").run(library_of("reference"))
    assert run_program(program, JobFile(plan, pixels, instructions), tmp_path) == expected


def test_a_read_behind_an_array_would_be_found(program: Path, tmp_path: Path) -> None:
    """The gaps between arrays are what AddressSanitizer is told of: this test tests the others."""
    plan = lay_out(random_network(0), "sse4")
    job = JobFile(plan, photos(PHOTOS, plan.image_size), "reference")
    first, end = job.gaps[-2]
    job.gaps.append((first, end + CACHE_LINE))  # the probabilities
    with pytest.raises(AssertionError, match="AddressSanitizer: use-after-poison"):
        run_program(program, job, tmp_path)


def test_a_misaligned_read_would_be_found(program: Path, tmp_path: Path) -> None:
    """Undefined behaviour ends the program: by SIGILL on x86, by SIGTRAP on ARM."""
    plan = lay_out(random_network(0), "sse4")
    job = JobFile(plan, photos(PHOTOS, plan.image_size), "reference")
    job.memory[Job.from_buffer_copy(job.memory).steps + Step.input_offsets.offset] += 1
    with pytest.raises(AssertionError, match=r"exit -[45]"):
        run_program(program, job, tmp_path)
