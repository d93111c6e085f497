"""Image errors: why a photo is refused, in one sentence for its sender, and as a code with values for programs."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import UnidentifiedImageError

MAX_TEXT_BYTES = 2 * 2**20  # of all texts of a PNG, unpacked; 66 kB can inflate to 32 times as much
_TEXT_LIMIT = "MAX_TEXT"  # in what Pillow says of a PNG's texts, of each and of all

Values = Mapping[str, str | float]


class ImageError(ValueError):
    """A photo that cannot be classified.

    `code` names the reason for programs, which may say it in another language; `values` are what the sentence tells.
    """

    def __init__(self, sentence: str, code: str = "", values: Values | None = None) -> None:
        """All are in `args`, so that an error can be made again from them."""
        super().__init__(sentence, code, values or {})
        self.code = code
        self.values: Values = values or {}

    def __str__(self) -> str:
        """The sentence."""
        return str(self.args[0])


class UnsupportedImage(ImageError):
    """The format, or the kind of JPEG, is not accepted."""

    @classmethod
    def of_kind(cls, kind: str) -> UnsupportedImage:
        """The error for a JPEG that is whole and is not decoded here."""
        sentence = f"this kind of JPEG ({kind}) is not accepted; save it as an ordinary one, of 8 bits a sample"
        return cls(sentence, "jpeg_kind", {"kind": kind})


class ImageTooLarge(ImageError):
    """The header promises more pixels or frames than the limit."""


class CorruptImage(ImageError):
    """The bytes begin as an accepted format and do not decode to the end."""

    @classmethod
    def because(cls, reason: Exception | str) -> CorruptImage:
        """The error for whatever a decoder raised, whose text is not always meant for people."""
        if isinstance(reason, UnidentifiedImageError):
            reason = "its header cannot be read"  # Pillow's own message is the address of our buffer
        text = str(reason).splitlines()[0][:80] if str(reason) else type(reason).__name__
        return cls(f"the photo is broken ({text}); send it again or export it anew", "broken", {"why": text})


def refusal_of(reason: Exception) -> ImageError:
    """The error for whatever a decoder raised: the photo is broken, unless it says that its texts are too large."""
    if _TEXT_LIMIT in str(reason):
        sentence = f"the photo has more than the {MAX_TEXT_BYTES >> 20} MiB of texts accepted; export it without them"
        return ImageTooLarge(sentence, "texts", {"most": MAX_TEXT_BYTES >> 20})
    return CorruptImage.because(reason)
