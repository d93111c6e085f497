"""Evaluation: accuracy, calibration, open-set recognition and robustness of a model, as reports with plots."""
