"""Data synchronisation: trees of files between folders and stores, by their hashes."""
