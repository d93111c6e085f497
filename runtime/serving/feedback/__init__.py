"""Feedback: corrected photos for the next training, with quotas, and a spool on disk while the store is unreachable."""

from runtime.serving.feedback.correction import FEEDBACK, MAX_PHOTO_BYTES, MAX_RECORD_BYTES, Correction, product_of
from runtime.serving.feedback.limits import ClientLimit, FeedbackFull, Limits, NotKept, SpoolFailed
from runtime.serving.feedback.store_and_forward import Feedback, Receipt

__all__ = [
    "FEEDBACK",
    "MAX_PHOTO_BYTES",
    "MAX_RECORD_BYTES",
    "ClientLimit",
    "Correction",
    "Feedback",
    "FeedbackFull",
    "Limits",
    "NotKept",
    "Receipt",
    "SpoolFailed",
    "product_of",
]
