"""What is learned from features alone: the head, how good it is, and which photos spoil it; NumPy and no more."""
