"""Serving: connections, admission control, dynamic batching, hot reload, drift, metrics."""
