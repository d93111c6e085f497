from __future__ import annotations

import io
import pickle

import pytest
from PIL import Image

from runtime.host.photo_limits import PhotoLimits
from runtime.image import ImageError, ImageTooLarge, UnsupportedImage, check_limits, inspect


def encoded(format_: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), "green").save(stream, format_)
    return stream.getvalue()


def ftyp(brand: bytes) -> bytes:
    return (24).to_bytes(4, "big") + b"ftyp" + brand + bytes(12)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded("GIF"), "a GIF"),
        (encoded("BMP"), "a BMP"),
        (encoded("TIFF"), "a TIFF"),
        (b"%PDF-1.7 and so on", "a PDF"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (ftyp(b"isom"), "a video"),
        (ftyp(b"qt  "), "a video"),
        (ftyp(b"crx "), "a Canon raw file"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL"),
    ],
)
def test_a_well_known_format_that_is_not_accepted_is_named(data: bytes, kind: str) -> None:
    with pytest.raises(UnsupportedImage, match=f"the file is {kind}, which is not accepted; send JPEG") as refused:
        inspect(data)
    assert refused.value.code == "format"
    assert refused.value.values["kind"] == kind.split(" ", 1)[1]


def test_what_is_no_known_format_is_no_photo() -> None:
    with pytest.raises(UnsupportedImage, match="not a photo") as refused:
        inspect(b"These are notes.")
    assert refused.value.code == "not_photo"


def test_a_refusal_says_in_values_what_its_sentence_says() -> None:
    stream = io.BytesIO()
    Image.new("L", (3000, 2000)).save(stream, "PNG")
    with pytest.raises(ImageTooLarge) as refused:
        check_limits(inspect(stream.getvalue()), PhotoLimits(max_pixels=5_000_000))
    assert refused.value.code == "megapixels"
    assert refused.value.values == {"width": 3000, "height": 2000, "megapixels": 6.0, "most": 5.0}
    assert "3000 x 2000" in str(refused.value)


def test_a_refusal_survives_the_way_to_another_process() -> None:
    error = ImageError("no", "format", {"kind": "GIF"})
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), again.code, again.values) == ("no", "format", {"kind": "GIF"})
