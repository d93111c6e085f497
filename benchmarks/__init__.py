"""Benchmarks: measurements that a reader can repeat."""
