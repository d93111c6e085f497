"""HTTP/1.1 connections: uvicorn's protocol with limits, deadlines, lingering close and write coalescing."""

from runtime.serving.http.connections import Connections
from runtime.serving.http.protocol import Protocol

__all__ = ["Connections", "Protocol"]
