"""Hostile stores: archives, versions and S3 servers that lie."""
