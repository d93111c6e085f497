"""Commands that measure inference in process."""
