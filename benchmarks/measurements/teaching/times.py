"""What teaching takes in time and memory, against a MobileNetV2 head as camera software trains it."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.contenders.servers import ROOT
from benchmarks.host.finished_process import Ended, run_to_end
from benchmarks.statistics.goals import Goal
from benchmarks.statistics.samples import interleave, median_of, ratio_of_medians
from runtime.errors import Refusal
from runtime.teaching.examples import Examples

PROGRAMS = Path(__file__).with_name("programs")
OURS, ANEW, CACHED = "runtime teach", "MobileNetV2, photos anew each epoch", "MobileNetV2, features once"
EPOCHS = 50  # of the recipe that is compared with
COLD_S, CLICK_S, AGAIN_S = 8.0, 4.0, 0.5
ANEW_SHARE, CACHED_SHARE, MEMORY_SHARE = 1 / 10, 1 / 2, 1 / 8


class Taken(msgspec.Struct, frozen=True):
    """A whole command, its start included."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


class Clicks(msgspec.Struct, frozen=True):
    """Seconds in a process that has the features: from the click to a proven bundle, and with ten photos more."""

    click_s: list[float]
    again_s: list[float]


def measure_commands(photos: Path, rounds: int, epochs: int) -> dict[str, list[Taken]]:
    """Run `runtime teach` and both ways to train a MobileNetV2 head, in turn, each cold. Raises Refusal."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        trained = functools.partial(_mobilenet, photos, out / "model.onnx", epochs)
        contenders: Mapping[str, Callable[[], Taken]] = {
            OURS: functools.partial(_taught, photos, out),
            ANEW: functools.partial(trained, "anew"),
            CACHED: functools.partial(trained, "cached"),
        }
        return interleave(contenders, rounds, warm_up=0, what="teach in turn")


def _taught(photos: Path, out: Path) -> Taken:
    return _taken([sys.executable, "-m", "runtime", "teach", str(photos), "--out", str(out / "taught")])


def _mobilenet(photos: Path, out: Path, epochs: int, how: str) -> Taken:
    return _taken([sys.executable, str(PROGRAMS / "mobilenet_head.py"), str(photos), str(out), str(epochs), how])


def measure_clicks(examples: Examples, backbone: Path, rounds: int) -> Clicks:
    """Teach in another process, `rounds` times. Raises Refusal."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "features.npz")
        np.savez(
            file,
            labels=np.array(examples.labels),
            truth=examples.truth,
            features=examples.features,
            brightness=examples.brightness,
        )
        command = [sys.executable, str(PROGRAMS / "lesson.py"), str(backbone), str(file), str(rounds)]
        said = _ended(command).said
    lines = [json.loads(line) for line in said.splitlines()]
    return Clicks([line["click_s"] for line in lines], [line["again_s"] for line in lines])


def _taken(command: Sequence[str]) -> Taken:
    ended = _ended(command)
    return Taken(ended.wall_s, ended.cpu_s, ended.peak_bytes)


def _ended(command: Sequence[str]) -> Ended:
    ended = run_to_end(command, os.environ | {"PYTHONPATH": str(ROOT)})
    if ended.status:
        last = ended.said.splitlines()[-1:] or ["it said nothing"]
        raise Refusal(f"{' '.join(command[1:4])} failed: {last[0]}")
    return ended


def time_goals(commands: Mapping[str, Sequence[Taken]], clicks: Clicks) -> list[Goal]:
    """The figures to reach."""
    rounds = len(commands[OURS])
    walls = {name: [one.wall_s for one in taken] for name, taken in commands.items()}
    peaks = {name: [float(one.peak_bytes) for one in taken] for name, taken in commands.items()}
    ratios = [
        (f"time over that of {ANEW}", ratio_of_medians(walls[OURS], walls[ANEW]), ANEW_SHARE),
        (f"time over that of {CACHED}", ratio_of_medians(walls[OURS], walls[CACHED]), CACHED_SHARE),
        (f"memory over that of {ANEW}", ratio_of_medians(peaks[OURS], peaks[ANEW]), MEMORY_SHARE),
    ]
    return [
        Goal("s from the click, features ready", median_of(clicks.click_s), "at most", CLICK_S, len(clicks.click_s)),
        Goal("s with ten photos more", median_of(clicks.again_s), "at most", AGAIN_S, len(clicks.again_s)),
        Goal(f"s of {OURS}, cold", median_of(walls[OURS]), "at most", COLD_S, rounds),
        *(Goal(what, ratio, "at most", limit, rounds) for what, ratio, limit in ratios),
    ]
