"""What Schemathesis takes for a photo: whole ones, drawn; only then can it tell that good requests are accepted."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies

from runtime.image import FORMATS
from tests.support.photos import photo, violet

PHOTOS = strategies.sampled_from([*(photo(format=format) for format in FORMATS), violet()])

for media_type in ("image/jpeg", "image/png", "image/webp", "image/avif", "image/heic", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, PHOTOS)
schemathesis.openapi.format("binary", PHOTOS)
