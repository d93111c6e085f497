"""What a run came to, for people: which version serves now and why, and the commands that change it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.bundle.manifest import Manifest
from runtime.cli.say import runnable
from training.pipeline.serving import serving
from training.product import same_labels
from training.storage.locations import Places


def conclusion(
    places: Places, challenger: Manifest, verdict: Mapping[str, Any], *, source: str | None = None
) -> list[str]:
    """Lines for the end of a run: `verdict` is the gate's on `challenger`, `source` that of its photos."""
    now = serving(places.models_store).manifest
    lines = [f"serves    {_described(now)}", f"because   {verdict['reason']}"]
    if now.version != challenger.version:
        lines += [f"stored    {_described(challenger)}; it does not serve"]
        lines += [f"to serve  {promotion(places, challenger.version)}"]
        lines += [f"or        {again}" for again in _again(now, challenger, source)]
    elif verdict["champion"] not in (None, challenger.version):
        lines += [f"go back   {promotion(places, verdict['champion'])}"]
    return lines


def promotion(places: Places, version: str) -> str:
    """The command that lets a version of the models store serve."""
    where = Path(places.models)
    models = str(where.relative_to(Path.cwd())) if where.is_relative_to(Path.cwd()) else places.models
    return runnable(f"python -m runtime models promote {version} --models {shlex.quote(models)}")


def _described(manifest: Manifest) -> str:
    return f"{manifest.version} ({manifest.name}: {', '.join(manifest.labels)})"


def _again(now: Manifest, challenger: Manifest, source: str | None) -> list[str]:
    """The run that takes over by itself, where there is make and a flag is all that it lacked."""
    other_labels = not same_labels(now.labels, challenger.labels)
    if not Path("Makefile").is_file() or (now.name == challenger.name and not other_labels):
        return []
    photos = f" SOURCE={shlex.quote(source)}" if source else ""
    flag = "REPLACE=1" if now.name == challenger.name else f"PRODUCT={challenger.name}"
    return [f"make pipeline{photos} {flag}"]
