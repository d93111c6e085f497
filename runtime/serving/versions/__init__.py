"""Hot reload: which version of a model serves, where it comes from, and what is refused."""
