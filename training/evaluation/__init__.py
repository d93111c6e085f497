"""Evaluation reports with plots."""
