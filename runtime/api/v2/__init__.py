"""The Open Inference Protocol (KServe V2) over HTTP, with its binary tensor extension.

Specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol and, for the binary
extension, Triton's https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""
