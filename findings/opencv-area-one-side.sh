#!/usr/bin/env bash
# Finding: OpenCV's INTER_AREA stops averaging as soon as one side of the picture grows, on the other side, too. A strip
# of 3000×200 pixels shrinks to 224×200 as it should, each pixel the mean of 13 columns. To 224×201 each pixel is made
# of two neighbouring columns, and eleven are dropped: OpenCV takes a linear interpolation for both sides. The
# documentation says of INTER_AREA that it is free of moiré when a picture is decimated, and like another method when it
# is zoomed; it says nothing of a picture that is both. Whoever squares photos to a network's input meets it with
# panoramas, lines of text and crops of detectors: a side that is a pixel short of the input brings back the aliasing
# that INTER_AREA was to prevent.
# Remedy: shrink one side first, then enlarge the other; or Pillow's resize, whose filters see each side alone.
#
# Seen with Python 3.11, opencv-python-headless 4.14.0.94 and 5.0.0.93, Pillow 13.0.0, Linux; columns in turn black and
# white, of which each mean is 118 to 137:
#   4.14.0: to 224x200 122..133, to 224x201 0..254, in two steps 122..133
#   5.0.0: to 224x200 122..133, to 224x201 0..254, in two steps 122..133
#   Pillow: to 224x200 118..137, to 224x201 118..137
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/shrink.py" <<'PYTHON'
import sys

import cv2
import numpy as np
from PIL import Image

columns = np.zeros((200, 3000), np.uint8)
columns[:, ::2] = 255


def area(picture, width, height):
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def span(picture):
    return f"{picture.min()}..{picture.max()}"


if sys.argv[1:] == ["pillow"]:
    photo = Image.fromarray(columns)
    shrunk, mixed = (np.asarray(photo.resize((224, height), Image.Resampling.BOX)) for height in (200, 201))
    print(f"Pillow: to 224x200 {span(shrunk)}, to 224x201 {span(mixed)}")
else:
    steps = area(area(columns, 224, 200), 224, 201)
    one = f"to 224x200 {span(area(columns, 224, 200))}, to 224x201 {span(area(columns, 224, 201))}"
    print(f"{cv2.__version__}: {one}, in two steps {span(steps)}")
PYTHON
for version in 4.14.0.94 5.0.0.93; do
  python3 -m venv "$work/venv-$version"
  "$work/venv-$version/bin/pip" install --quiet "opencv-python-headless==$version" pillow==13.0.0
  "$work/venv-$version/bin/python" "$work/shrink.py"
done | tee "$work/seen"
"$work/venv-5.0.0.93/bin/python" "$work/shrink.py" pillow | tee -a "$work/seen"
diff "$work/seen" - <<'SEEN'
4.14.0: to 224x200 122..133, to 224x201 0..254, in two steps 122..133
5.0.0: to 224x200 122..133, to 224x201 0..254, in two steps 122..133
Pillow: to 224x200 118..137, to 224x201 118..137
SEEN
