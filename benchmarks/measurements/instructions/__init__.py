"""Instructions of one inference on processors that are emulated: our kernel and onnxruntime, counted by a QEMU plugin.

Counts are no times: how many instructions a processor executes at once, and how long it waits for memory, is not in
them. They say the same on any machine, whatever else runs there.
"""
