"""Large photos of one colour, made in moments: what deploy/appliance/largest_photos.py sends an appliance."""

from __future__ import annotations

import sys

from tests.deploy.engine import ROOT

sys.path.insert(0, str(ROOT / "deploy" / "appliance"))
import largest_photos
from largest_photos import drawn, flat_jpeg, flat_png, kinds

__all__ = ["drawn", "flat_jpeg", "flat_png", "kinds", "largest_photos"]
