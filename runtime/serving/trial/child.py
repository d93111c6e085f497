"""Sandboxed trial, `python -m runtime.serving.trial.child PARENT`: run a bundle's golden cases and a full batch.

The process dies with the appliance (process PARENT), has a time-out and a memory limit (setrlimit), and is the first
that the kernel's OOM killer takes.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import resource
import signal
import sys
from pathlib import Path

import msgspec
import numpy as np

from runtime.bundle.input import max_batch_size
from runtime.bundle.manifest import MANIFEST, Bundle, BundleError, read_manifest
from runtime.host.child_process import die_first, end_with_parent
from runtime.inference.backends import open_validated
from runtime.inference.optional import onnxruntime_installed
from runtime.native.library import library
from runtime.serving.trial.messages import TrialJob, TrialOutcome

NICENESS = 5  # the photos of clients go first


def main() -> None:
    """Read a job from standard input, run it, and write its outcome to standard output."""
    end_with_parent(int(sys.argv[1]))
    logging.disable()
    if library() is None and onnxruntime_installed():
        importlib.import_module("runtime.inference.onnxruntime_session")  # onnxruntime: meanwhile the bundle is fetched
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=TrialJob)
    _limit(job)
    sys.stdout.buffer.write(msgspec.json.encode(_try(Path(job.folder))) + b"\n")


def _try(folder: Path) -> TrialOutcome:
    try:
        bundle = Bundle(folder, read_manifest(folder / MANIFEST))
        session, kernel = open_validated(bundle, threads=1)
        spec, most = bundle.manifest.input, max_batch_size(bundle.manifest.input)
        if len(bundle.manifest.golden) <= most:  # else they have filled a batch
            session.infer(np.zeros((most, spec.height, spec.width, 3), np.uint8))
    except BundleError as error:
        return TrialOutcome(refusal=str(error))
    return TrialOutcome(kernel=kernel.kernel)


def _limit(job: TrialJob) -> None:
    signal.setitimer(signal.ITIMER_REAL, job.seconds)  # whose signal ends the process, whatever it is busy with
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if job.memory_bytes is not None and (taken := _address_space()):
        limit = taken + job.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.nice(NICENESS)
    die_first()


def _address_space() -> int | None:
    try:
        found = re.search(r"^VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


if __name__ == "__main__":
    main()
