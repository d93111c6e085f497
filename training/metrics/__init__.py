"""Metrics: scores with confidence intervals, probability calibration, open-set recognition."""
