"""Review of corrected photos, for the next training."""
