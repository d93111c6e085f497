"""AVIF: sizes, colour and crop of its pictures, read from the boxes of the container and the AV1 data in them."""

from runtime.image.avif.boxes import MAX_READS
from runtime.image.avif.container import Coded, coded_pictures
from runtime.image.avif.properties import Crop

__all__ = ["MAX_READS", "Coded", "Crop", "coded_pictures"]
