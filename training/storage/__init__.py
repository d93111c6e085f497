"""Trees of files between folders and stores."""
