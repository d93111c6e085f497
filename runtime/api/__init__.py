"""The HTTP face of the runtime."""
