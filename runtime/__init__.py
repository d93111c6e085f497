"""The appliance's runtime: everything an edge host needs to answer, and nothing else."""

import os

# onnxruntime starts its telemetry (a thread, files, a network endpoint) while it is imported: its own Python switch
# comes too late for the first event. Every import of onnxruntime in this repository comes after this line.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
