#!/usr/bin/env bash
# Finding: at its peak, Pillow holds a WebP photo four times over: about 16 bytes for each pixel of an RGB photo, where
# a PNG of the same size takes 4. libwebp's animation decoder, which Pillow uses for photos of one frame, too, has two
# RGBA canvases; Pillow makes a third picture of bytes, and a fourth of its own. A WebP of 12 megapixels, a few kilobytes
# as a file, takes 190 MB: whoever bounds photos by their pixels alone should let in a quarter as many of a WebP.
#
# Seen with Python 3.11, Pillow 13.0.0, Linux, in bytes for a pixel of a photo of 16 megapixels: PNG 4.0, WebP 16.0.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0
cat >"$work/peak.py" <<'EOF'
import resource
import sys

from PIL import Image

small, large = sys.argv[1:]
Image.open(small).load()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = Image.open(large)
photo.load()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(round((peak - before) * 1024 / (photo.width * photo.height), 1))
EOF
bytes_of_a_pixel() { # format
  "$work/venv/bin/python" - "$work" "$1" <<'EOF'
import sys

from PIL import Image

folder, format_ = sys.argv[1:]
for name, side in (("small", 64), ("large", 4000)):
    Image.new("RGB", (side, side), (90, 140, 60)).save(f"{folder}/{name}.{format_}", format_)
EOF
  "$work/venv/bin/python" "$work/peak.py" "$work/small.$1" "$work/large.$1"
}

png=$(bytes_of_a_pixel PNG)
webp=$(bytes_of_a_pixel WEBP)
echo "bytes for a pixel at the peak: PNG $png, WebP $webp"
python3 -c "assert 3.5 < $png < 5 and 15 < $webp < 18"
