"""Inference sessions, and the selection of the fastest backend that is right on this CPU."""
