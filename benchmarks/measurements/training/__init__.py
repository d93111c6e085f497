"""Training: time, and the calibration of what it makes."""
