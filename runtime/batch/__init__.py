"""Batch inference: plan once, classify the parts in parallel on any number of machines, merge into one table."""
