"""A fork server: processes that start without importing everything again."""
