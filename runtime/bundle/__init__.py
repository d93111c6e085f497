"""The model bundle: a folder with a model, its manifest, and everything needed to verify it."""
