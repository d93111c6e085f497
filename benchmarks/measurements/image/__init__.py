"""Decoding and resizing of photos."""
