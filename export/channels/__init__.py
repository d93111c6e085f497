"""Channel permutation for activation sparsity: channels that are zero together lie together."""
