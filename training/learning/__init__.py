"""Fine-tuning, augmentation, pruning, cross-validation."""
