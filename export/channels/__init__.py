"""The order of channels: those that are zero together lie together."""
