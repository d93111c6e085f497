"""Gates: what a bundle must reach to be written, and what a challenger must reach to be served."""
