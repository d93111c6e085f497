"""A checkout of this project as a contender: an older commit against this one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.contenders.servers import Recipe, appliance
from runtime.errors import Refusal

THIS, OTHER = "this checkout", "the other checkout"  # their names in tables

# What the shell says must not change what is measured; without bytecode files a start is a compilation.
NEUTRAL = dict.fromkeys(
    (
        *("DANDELION_BUNDLE", "DANDELION_MODELS", "DANDELION_DATA", "DANDELION_PUBLIC_KEY"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH"),
    ),
    "",
)


class Checkout(NamedTuple):
    """One checkout; `bundle` is served where no store is followed, None leaves it to the checkout's own default."""

    name: str
    folder: Path
    bundle: Path | None

    def alone(self, cache: Path, **settings: str) -> Recipe:
        """Without a store; `settings` are more variables of its environment."""
        return self._recipe(self.bundle, {"DANDELION_CACHE": str(cache)} | settings)

    def following(self, models: str, cache: Path, *, poll_s: float) -> Recipe:
        """With the store `models`, looked at every `poll_s` seconds."""
        settings = {"DANDELION_MODELS": models, "DANDELION_CACHE": str(cache), "DANDELION_POLL_S": str(poll_s)}
        return self._recipe(None, settings)

    def _recipe(self, bundle: Path | None, settings: Mapping[str, str]) -> Recipe:
        return appliance(bundle, NEUTRAL | dict(settings), name=self.name, checkout=self.folder.resolve())


def require_own_code(recipe: Recipe) -> None:
    """Make sure that a server started in the recipe's folder runs that folder's code; raises Refusal."""
    folder = recipe.folder or Path.cwd()
    found = _imported(recipe, folder)
    if found != str(folder / "runtime" / "__init__.py"):
        raise Refusal(f"{folder}: `import runtime` finds {found} from there; name the folder of a checkout")


def _imported(recipe: Recipe, folder: Path) -> str:
    ask = [recipe.command[0], "-c", "import runtime; print(runtime.__file__)"]
    environment = os.environ | dict(recipe.environment)
    asked = subprocess.run(ask, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    return asked.stdout.strip() or "nothing"
