"""Stores under test, with a real S3 server."""
