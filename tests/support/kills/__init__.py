"""Crash tests: operations that are killed at random moments."""
