"""Photos to a dataset: download, verify, deduplicate, split."""
