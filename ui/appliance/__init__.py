"""Access to appliances: API client, metrics, targets, latency test."""
