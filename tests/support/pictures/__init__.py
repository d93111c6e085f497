"""Photos and pictures that tests draw and encode."""
