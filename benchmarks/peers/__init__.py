"""Other ways to serve the same photos, each a small program in an environment of its own.

The folders beside this file hold the programs; they import nothing of this repository but `shared`.
"""
