"""Groups of tests that the shorter run leaves out, each with the package that its modules import."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

from _pytest.mark.expression import Expression

TESTS = Path(__file__).parents[2]

# group: the package that must be there to import these, and where they are
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "compiler": ("ziglang", ("runtime/native/compiled",)),
    "scheduler": ("airflow", ("pipelines", "benchmarks/measurements/test_batch.py")),
    "browser": ("playwright", ("ui/browser", "benchmarks/measurements/serving/test_page.py")),
    "containers": ("kubernetes_validate", ("deploy",)),
    "training": (
        "torch",
        (
            "benchmarks/contenders/test_servers.py",
            "benchmarks/measurements",
            "benchmarks/reporting",
            "benchmarks/test_commands.py",
            "benchmarks/test_peers.py",
            "export",
            "training/evaluation/test_report.py",
            "training/inspection",
            "training/learning",
            "training/model",
        ),
    ),
}

MARKS = (*GROUPS, "emulated", "thorough")
ONE_WORKER = ("containers", "scheduler", "browser")  # these share an engine, a scheduler, a browser
SPREAD = (  # many independent cases, for all workers: those that take a while each would keep one busy at the end
    "test_hostile_archives.py",
    "test_limits.py",
    "test_misbehaving_store.py",
    "test_overload.py",
    "test_reloader.py",
    "test_reloader_trials.py",
)
BY_FUNCTION = ("test_hostile_store.py",)  # hundreds of cases of few functions, on a world that takes a while to make
SLOW = (  # a minute of a busy worker, each: begun late, one of them keeps a worker when the others have nothing left
    "runtime/api/teach/test_described.py",
    "runtime/api/teach/test_learning.py",
    "runtime/api/test_openapi.py",
    "runtime/cli/test_teach.py",
    "runtime/image/test_decoding_cost.py",
    "runtime/image/test_hostile_photos.py",
    "runtime/inference/test_native_session.py",
    "runtime/native/planning/test_bounds.py",
    "runtime/serving/taught/test_publisher.py",
    "runtime/serving/test_memory.py",
    "training/data/test_hostile_data.py",
    "training/data/test_prepare.py",
)
BY_PAGE = TESTS / "ui/browser/teach"  # for all workers: in one, with the other browsers, they would end long after all
PAGES = TESTS / "ui"  # what forks pages: to import what they do takes two seconds, of one worker alone


@cache
def rank(file: Path) -> int:
    """What one worker does all of comes first, since it takes longest; then the modules that take long.

    Modules that use a browser in any worker come last, when there are no containers to wait for.
    """
    if file.is_relative_to(BY_PAGE):
        return len(ONE_WORKER) + 3
    group = group_of(file)
    if group in ONE_WORKER:
        return ONE_WORKER.index(group)
    if file.is_relative_to(PAGES):
        return len(ONE_WORKER)
    is_slow = file.relative_to(TESTS).as_posix() in SLOW
    return len(ONE_WORKER) + (1 if is_slow else 2)


@cache
def group_of(file: Path) -> str | None:
    """The group that a test file belongs to; asked for again for each of its tests."""
    return next(
        (name for name, (_, places) in GROUPS.items() if any(file.is_relative_to(TESTS / place) for place in places)),
        None,
    )


def cannot_be_imported(file: Path) -> bool:
    """Whether the package that the group of `file` needs is not installed here."""
    group = group_of(file)
    return bool(group) and find_spec(GROUPS[str(group)][0]) is None


def is_left_out(file: Path, markers: str) -> bool:
    """Whether `-m markers` leaves out the group of `file`, whatever other marks its tests have: it is not imported."""
    group = group_of(file)
    if not group or not markers:
        return False
    chosen = Expression.compile(markers)
    others = [name for name in MARKS if name != group]
    sets = (set(more) | {group} for count in range(len(others) + 1) for more in combinations(others, count))
    return not any(chosen.evaluate(lambda name, marks=marks, **_: name in marks) for marks in sets)


def scope_of(nodeid: str) -> str:
    """What one worker runs as a whole: a group of ONE_WORKER, PAGES, else a file, or less in SPREAD or BY_FUNCTION.

    What uses a browser waits until the containers have ended (`turns.py`).
    """
    file = TESTS.parent / nodeid.split("::", 1)[0]
    group = group_of(file)
    if file.is_relative_to(BY_PAGE):
        return str(file)
    if group in {"containers", "browser"}:
        return "containers, then browser"
    if group in ONE_WORKER:
        return str(group)
    if file.is_relative_to(PAGES):
        return "pages"
    if file.name in BY_FUNCTION:
        return nodeid.partition("[")[0]
    return nodeid if file.name in SPREAD else str(file)
