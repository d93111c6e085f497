"""The sweep of input sizes: accuracy and latency, and their Pareto front."""
