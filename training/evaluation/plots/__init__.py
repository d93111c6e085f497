"""Plots of an evaluation, and the look that all plots share."""
