"""One measurement a module, each with its table."""
