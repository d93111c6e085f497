"""Scheduling: admission control, dynamic batching, thread pools, and a fair lane for heavy work."""
