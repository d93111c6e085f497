"""Versions of a model: in a store, in this host's cache, signed, published."""
