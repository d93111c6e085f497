#!/usr/bin/env bash
# Finding: Pillow's own way of editing EXIF lays a photo on its side when it is saved as HEIC. With `exif =
# photo.getexif()` and `save(..., exif=exif)`, JPEG, PNG, WebP and AVIF keep the orientation of a phone's photo.
# pillow-heif looks for it in bytes alone: of an Exif object it makes no rotation (`irot`), which is what counts in
# HEIF, and on opening it sets EXIF's orientation to 1, so exif_transpose has nothing left to turn. Nothing is said, the
# other tags are there, and the one value that tells is info["original_orientation"]. Whoever takes the position out of
# photos that way and stores them as HEIC feeds a model photos that lie on their side.
# Remedy: `exif=exif.tobytes()`; or exif_transpose before saving.
#
# Seen with Python 3.11, Pillow 13.0.0, pillow-heif 1.8.1, x86-64 Linux:
#   exif=exif, JPEG: upright
#   exif=exif, PNG: upright
#   exif=exif, WEBP: upright
#   exif=exif, AVIF: upright
#   exif=exif, HEIF: on its side
#   exif=exif.tobytes(), HEIF: upright
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0 pillow-heif==1.8.1
cat >"$work/save.py" <<'PYTHON'
import io

import pillow_heif
from PIL import ExifTags, Image, ImageOps

pillow_heif.register_heif_opener()
TURNED_RIGHT = 6  # a phone that is held upright stores the photo lying, and says so
WIDTH, HEIGHT = 64, 32

phone = io.BytesIO()
tags = Image.Exif()
tags[ExifTags.Base.Orientation] = TURNED_RIGHT
tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
Image.new("RGB", (WIDTH, HEIGHT)).save(phone, "JPEG", exif=tags)


def looks(kind, as_bytes):
    photo, stored = Image.open(phone), io.BytesIO()
    exif = photo.getexif()
    del exif[ExifTags.IFD.GPSInfo]
    photo.save(stored, kind, exif=exif.tobytes() if as_bytes else exif)
    shown = ImageOps.exif_transpose(Image.open(stored))
    return "upright" if shown.size == (HEIGHT, WIDTH) else "on its side"


for kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
    print(f"exif=exif, {kind}: {looks(kind, as_bytes=False)}")
print(f"exif=exif.tobytes(), HEIF: {looks('HEIF', as_bytes=True)}")
PYTHON
"$work/venv/bin/python" "$work/save.py" | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
exif=exif, JPEG: upright
exif=exif, PNG: upright
exif=exif, WEBP: upright
exif=exif, AVIF: upright
exif=exif, HEIF: on its side
exif=exif.tobytes(), HEIF: upright
SEEN
