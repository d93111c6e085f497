"""Interleaved samples, medians, bootstrap intervals, goals."""
