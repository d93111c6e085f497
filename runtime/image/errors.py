"""Image errors: why a photo is refused, in one sentence for its sender."""

from __future__ import annotations

from PIL import UnidentifiedImageError


class ImageError(ValueError):
    """A photo that cannot be classified."""


class UnsupportedImage(ImageError):
    """The format, or the kind of JPEG, is not accepted."""

    @classmethod
    def of_kind(cls, kind: str) -> UnsupportedImage:
        """The error for a JPEG that is whole and is not decoded here."""
        return cls(f"this kind of JPEG ({kind}) is not accepted; save it as an ordinary one, of 8 bits a sample")


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
        return cls(f"the photo is broken ({text}); send it again or export it anew")
