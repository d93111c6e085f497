"""Inspection of a folder of photos before anything is trained: is it clean, is it enough, what is to be done."""
