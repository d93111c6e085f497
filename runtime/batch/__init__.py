"""Classify many stored photos: plan once, classify part by part on as many machines as there are, merge."""
