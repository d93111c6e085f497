"""Plots, cost and the HTML report."""
