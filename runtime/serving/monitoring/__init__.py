"""Monitoring: Prometheus metrics, drift, and the photos of doubtful answers."""
