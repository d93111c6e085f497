"""Versions that must not be served, made by a seed: what a manifest, a pointer or a golden case may say falsely.

They are stand-ins: nothing in them harms the programs that read them, they only must not be believed.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runtime.bundle.manifest import FP32_MODEL, MANIFEST, MODEL, SIGNATURE

SEED = 20261128
VERSION = "v2"
EVIL = b"print('code of somebody else')\n"
CANARY = "outside/settings.py"
PARTS = [
    "..",
    ".",
    "",
    "a",
    "models",
    "\x00",
    "\n",
    "\r",
    "\x1b[2J",
    "é",
    "\u202e",
    "con",
    "~",
    "C:",
    " ",
    "latest.json",
]
JUNK: list[Any] = [
    None,
    True,
    -1,
    2**63,
    2**64,
    1.5,
    1e308,
    float("nan"),
    "",
    "x",
    "\x00\n",
    "x" * 5000,
    [],
    [[]],
    {},
    {"a": 1},
    [None],
]


@dataclass
class Draft:
    """What is about to be put into a store: the manifest of VERSION, the pointer to it, files beside it."""

    manifest: dict[str, Any]
    outside: Path
    content: bytes | None = None  # of the manifest, where it is no JSON of `manifest`
    pointer: dict[str, Any] = field(default_factory=dict)
    raw_pointer: bytes | None = None
    files: dict[str, bytes] = field(default_factory=dict)  # below the version, by any name
    holes: dict[str, int] = field(default_factory=dict)  # keys with files that are as large as that, and sparse

    @property
    def data(self) -> bytes:
        return self.content if self.content is not None else json.dumps(self.manifest).encode()

    @property
    def latest(self) -> bytes:
        said = {"version": VERSION, "manifest_sha256": hashlib.sha256(self.data).hexdigest()}
        return self.raw_pointer if self.raw_pointer is not None else json.dumps(said | self.pointer).encode()


class Hostile(NamedTuple):
    """One variation. `where` is what sees that it is wrong: the pointer, the version, or the trial of its model."""

    what: str
    change: Callable[[Draft], object]
    where: str = "version"


def variations(seed: int = SEED) -> list[Hostile]:
    """All of them, in an order that never changes."""
    chance = random.Random(seed)  # noqa: S311
    groups = (_names(chance), _sizes(), _labels(), _inputs(), _golden(), _manifests(chance), _pointers(chance))
    return [each for group in groups for each in group]


def hostile_names(chance: random.Random) -> list[str]:
    """File names that no bundle may have; `{outside}` is the folder that must stay as it is."""
    fixed = ["", ".", "..", "/", "a/b", "a\\b", "..\\..\\x", "a\x00", "\x00", "a\nb", "a\n", "\x1b]0;x\x07", ".hidden"]
    fixed += [
        "é.onnx",
        "\u202exnno",
        "x" * 101,
        "x" * 300,
        "é" * 200,
        "-rf",
        "model.onnx ",
        " model.onnx",
        "~",
        "C:\\x",
    ]
    fixed += ["{outside}/settings.py", "/etc/../{outside}/settings.py", "//{outside}/settings.py"]
    fixed += ["../" * depth + CANARY for depth in range(1, 7)]
    fixed += [f"a/{'../' * depth}{CANARY}" for depth in (2, 4, 6)]
    mixed = ["/".join(chance.choice(PARTS) for _ in range(chance.randint(2, 6))) for _ in range(24)]
    return fixed + mixed


def _names(chance: random.Random) -> Iterator[Hostile]:
    for name in hostile_names(chance):
        yield Hostile(f"file {name[:40]!r}", lambda draft, name=name: _add_file(draft, name))
    for name in (MANIFEST, SIGNATURE, "MANIFEST.json", "Model.onnx", "MODEL.ONNX"):
        yield Hostile(f"file {name}", lambda draft, name=name: _add_file(draft, name))
    yield Hostile("no model", lambda draft: draft.manifest.update(files={"other.onnx": _entry(EVIL)}))
    yield Hostile("too many files", lambda draft: [_add_file(draft, f"f{number}") for number in range(17)])
    yield Hostile("a file that is not there", lambda draft: draft.manifest["files"].update({FP32_MODEL: _entry(EVIL)}))


def _sizes() -> Iterator[Hostile]:
    for size in (-1, 0, 10, 2**30, 2**30 + 1, 2**63 - 1, 2**63, 2**64, 10**400, 1.5, "10", None, True, [10]):
        yield Hostile(f"size {str(size)[:20]}", lambda draft, size=size: _model(draft).update(size_bytes=size))
    for change in (-1, 1):
        yield Hostile(f"size {change:+}", lambda draft, by=change: _model(draft).update(size_bytes=_size(draft) + by))
    yield Hostile("3 GB where 10 bytes are said", _three_gigabytes)
    yield Hostile("a sum that is too large", lambda draft: draft.manifest["files"].update(_two_large_ones()))
    for digest in ("", "0" * 64, "A" * 64, "0" * 63, "0" * 64 + "\n", None, 7):
        yield Hostile(f"sha256 {digest!r:.20}", lambda draft, digest=digest: _model(draft).update(sha256=digest))


def _labels() -> Iterator[Hostile]:
    yield Hostile("a million labels", lambda draft: draft.manifest.update(labels=[f"label-{n}" for n in range(10**6)]))
    lists: list[Any] = [["dandelion", "../../x"], ["dandelion", ""]]
    lists += [["dandelion", name] for name in ("/etc", "a/b", "a\\b", "..", ".x", "a\n", "\x00", "\x1b[31m", "x" * 101)]
    lists += [["dandelion", "\x9b31m"], ["dandelion", "a\u2028b"], ["same", "same"], ["one"], [], [1, 2], "ab", None]
    lists += [["a", "b", "c"], [["a"], ["b"]], [f"{number}" for number in range(1001)]]
    for labels in lists:
        yield Hostile(f"labels {labels!r:.40}", lambda draft, labels=labels: draft.manifest.update(labels=labels))


def _inputs() -> Iterator[Hostile]:
    for side in (0, -1, -(2**31), 10**5, 2**31, 10**9, 2**63, 2**64, 1.5, "32", None, [32]):
        yield Hostile(f"sides {side}", lambda draft, side=side: draft.manifest["input"].update(height=side, width=side))
    yield Hostile("a flat input", lambda draft: draft.manifest["input"].update(height=1, width=10**6))
    yield Hostile("other sides", lambda draft: draft.manifest["input"].update(height=33), "trial")
    for key in ("resize", "colour", "surprise\n\x1b[2J"):
        yield Hostile(f"input {key!r}", lambda draft, key=key: draft.manifest["input"].update({key: "\n" * 300}))


def _golden() -> Iterator[Hostile]:
    case = {"pattern": "noise", "seed": 0, "probabilities": [0.5, 0.5], "int8": [0.5, 0.5]}
    for change in ({"pattern": "fractal"}, {"pattern": "\n\x1b[2J"}, {"pattern": "x" * 100_000}):
        yield Hostile(
            f"golden {str(change)[:40]}", lambda draft, change=change: _golden_is(draft, [case | change]), "trial"
        )
    answers = ([0.0, 1.0], [1.0, 0.0])
    wrong = [case | {"probabilities": answer, "int8": answer} for answer in answers]
    yield Hostile("wrong answers", lambda draft: _golden_is(draft, wrong), "trial")
    changes: list[dict[str, Any]] = [
        {"probabilities": share} for share in ([], [1.0], [0.5] * 3, [2.0, -1.0], ["x"], 1)
    ]
    changes += [{"int8": [1.0]}, {"int8": []}, {"seed": -1}, {"seed": "x"}, {"pattern": 1}]
    changes += [{"surprise": 1}, {"probabilities": [0.5] * 10**5}]
    for change in changes:
        yield Hostile(f"golden {str(change)[:40]}", lambda draft, change=change: _golden_is(draft, [case | change]))
    for cases in ([], [case] * 65, None, {}, [None]):
        yield Hostile(f"golden cases {cases!r:.20}", lambda draft, cases=cases: _golden_is(draft, cases))


def _manifests(chance: random.Random) -> Iterator[Hostile]:
    contents = {
        "empty": b"",
        "cut off": b'{"schema_version": 1',
        "no JSON": b"\x00\xff" * 50,
        "UTF-16": "{}".encode("utf-16"),
    }
    contents |= {"deep": b'{"schema_version": 1, "labels": ' + b"[" * 200_000, "deep objects": b'{"a":' * 100_000}
    contents |= {"2 MB": b" " * 2_000_000, "lines": b'{"schema_version": 1, "\\n\\u001b[2J\\n": ' + b"1" * 400_000}
    for what, content in contents.items():
        yield Hostile(f"manifest {what}", lambda draft, content=content: setattr(draft, "content", content))
    for key in ("surprise", "\n\x1b[2J\nlevel=INFO", "x" * 300_000, "\u202e" * 50):
        yield Hostile(f"a field {key[:20]!r}", lambda draft, key=key: draft.manifest.update({key: 1}))
    for version in ("v3", "../v2", "v2\n", "", "x" * 300, None, 2, "latest"):
        yield Hostile(f"version {version!r:.20}", lambda draft, version=version: draft.manifest.update(version=version))
    fields = (
        "schema_version",
        "name",
        "created",
        "metrics",
        "gates",
        "dataset",
        "files",
        "reference",
        "epochs",
        "weights",
    )
    for key in fields:
        for junk in chance.sample([value for value in JUNK if _is_wrong(key, value)], 3):
            yield Hostile(
                f"{key} is {junk!r:.20}", lambda draft, key=key, junk=junk: draft.manifest.update({key: junk})
            )


def _pointers(chance: random.Random) -> Iterator[Hostile]:
    contents = {
        "empty": b"",
        "no JSON": b"\xff\x00",
        "list": b"[]",
        "null": b"null",
        "deep": b"[" * 3999,
        "cut off": b'{"v',
    }
    contents |= {
        "4 MB": b" " * 4_000_000,
        "lines": b'{"\\n\\u001b[2Jtime=": 1}',
        "UTF-16": '{"version": "v2"}'.encode("utf-16"),
    }
    for what, content in contents.items():
        yield Hostile(f"pointer {what}", lambda draft, data=content: setattr(draft, "raw_pointer", data), "pointer")
    yield Hostile("pointer of 700 MB", _seven_hundred_megabytes, "pointer")
    for name in chance.sample(hostile_names(chance), 12):
        yield Hostile(
            f"points at {name[:30]!r}", lambda draft, name=name: draft.pointer.update(version=name), "pointer"
        )
    for counter in (-1, 2**53, 2**64, 10**400, 1.5, "1", None):
        change = {"counter": counter}
        yield Hostile(
            f"counter {str(counter)[:20]}", lambda draft, change=change: draft.pointer.update(change), "pointer"
        )
    for change in (
        {"manifest_sha256": "0"},
        {"manifest_sha256": None},
        {"signature": "x" * 101},
        {"signature": 1},
        {"x\n": 1},
    ):
        yield Hostile(f"pointer {change}", lambda draft, change=change: draft.pointer.update(change), "pointer")
    yield Hostile("the hash of another manifest", lambda draft: draft.pointer.update(manifest_sha256="0" * 64), "hash")
    for version in ("v9", "latest", "latest.json", "x" * 100):
        yield Hostile(
            f"points at {version[:20]}", lambda draft, other=version: draft.pointer.update(version=other), "hash"
        )


def _entry(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def _model(draft: Draft) -> dict[str, Any]:
    entry: dict[str, Any] = draft.manifest["files"][MODEL]
    return entry


def _size(draft: Draft) -> int:
    return int(_model(draft)["size_bytes"])


def _add_file(draft: Draft, name: str) -> None:
    """First of the files, and all is right about it but its name."""
    name = name.replace("{outside}", str(draft.outside))
    draft.manifest["files"] = {name: _entry(EVIL)} | draft.manifest["files"]
    draft.files[name] = EVIL


def _golden_is(draft: Draft, cases: Any) -> None:
    draft.manifest["golden"] = cases


def _two_large_ones() -> dict[str, Any]:
    return {name: _entry(EVIL) | {"size_bytes": 2**29 + 1} for name in ("a", "b")}


def _three_gigabytes(draft: Draft) -> None:
    _model(draft)["size_bytes"] = 10
    draft.holes[f"models/{VERSION}/{MODEL}"] = 3 * 10**9


def _seven_hundred_megabytes(draft: Draft) -> None:
    draft.holes["models/latest.json"] = 7 * 10**8


def _is_wrong(key: str, value: Any) -> bool:
    """Whether `value` is none that the field may have."""
    right: dict[str, tuple[type, ...]] = {"created": (str,), "weights": (str,), "epochs": (int,), "gates": (list,)}
    if key == "name":
        return value != "x"
    if key == "gates":
        return value != []
    return isinstance(value, bool) or not isinstance(value, right.get(key, ()))
