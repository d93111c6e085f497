"""Serving: admission control, dynamic batching, hot reload, drift, metrics."""
