"""Example sets: photos to try teaching with. Drawn ones need nothing, public ones a network."""
