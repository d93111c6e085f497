"""The test suite itself: groups, repeats, turns, system packages."""
