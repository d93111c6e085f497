"""Training: photos to a checkpoint (fetch, prepare, fit, evaluate)."""
