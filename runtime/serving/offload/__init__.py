"""Offloading: heavy work is done in child processes of lower priority, whose lock, memory and crashes are their own.

A decoder may keep the interpreter's lock for seconds, and in a container a second busy thread uses up the CPU quota of
the event loop: neither is left to chance beside small photos.
"""

from runtime.serving.offload.pool import ChildDied, ChildPool, children_for

__all__ = ["ChildDied", "ChildPool", "children_for"]
