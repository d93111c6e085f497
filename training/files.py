"""Names of the files that a training leaves in its folder, `var/training` by default."""

from __future__ import annotations

CHECKPOINT = "model.pt"
HISTORY = "history.json"
SIZES = "sizes.json"
RESOURCES = "resources.json"
