"""Bundles, backbones and checkpoints in miniature."""
