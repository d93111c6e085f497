"""Photos of other things, which show none of the classes: the public ones, and how they are fetched."""
