"""Checkpoint to bundle: validation, manifest, and new versions of bundles that are there."""
