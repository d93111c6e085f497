"""AVIF: the sizes of its coded pictures, read from the boxes of the container and the AV1 data in them."""

from runtime.image.avif.container import MAX_READS, Coded, coded_pictures

__all__ = ["MAX_READS", "Coded", "coded_pictures"]
