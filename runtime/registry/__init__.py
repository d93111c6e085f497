"""Model registry: versions in an object store, signed, published, promoted, and cached on this host."""
