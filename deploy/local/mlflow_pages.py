"""Say where the runs are, once MLflow's server answers: `mlflow_pages.py PORT PID`, PID being that of the server."""

from __future__ import annotations

import os
import sys
import time

import httpx

from training.tracking.server import run_pages


def main(port: int, server: int) -> None:
    """Wait for the server, or for its end; then print the page of the runs of each product."""
    base = f"http://localhost:{port}"
    while not answers(base):
        os.kill(server, 0)  # raises where it has ended
        time.sleep(0.5)
    pages = run_pages(base)
    for product, page in pages.items():
        print(f"\nnext: open {page}  (the runs of {product})", flush=True)
    if not pages:
        print(f"\nno run is tracked yet: make train or make pipeline makes one; the page is {base}", flush=True)


def answers(base: str) -> bool:
    """Whether the server is up."""
    try:
        return httpx.get(f"{base}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except (ProcessLookupError, KeyboardInterrupt):
        sys.exit(0)
