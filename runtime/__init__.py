"""The runtime: inference, serving, API and model registry of an edge host, without any training code."""

import os

# onnxruntime starts its telemetry (a thread, files, a network endpoint) while it is imported: its own Python switch
# comes too late for the first event. Every import of onnxruntime in this repository comes after this line.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
