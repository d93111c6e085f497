"""Commands that measure how models are trained and taught."""
