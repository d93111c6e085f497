"""JPEG: what its markers say, decoding that tells damage, and a short way for small plain ones."""
