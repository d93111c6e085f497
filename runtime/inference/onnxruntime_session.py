"""onnxruntime backend: an inference session for one ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from runtime.bundle.input import ImageSpec
from runtime.bundle.manifest import BundleError
from runtime.inference.interface import Inference

INPUT = "pixels"
PROBABILITIES = "probabilities"
ACTIVATION_MAP = "activation_map"


class OnnxruntimeSession:
    """An ONNX model in onnxruntime, on the CPU. Safe to call from several threads."""

    def __init__(
        self,
        model: Path | bytes,
        spec: ImageSpec,
        classes: int,
        *,
        threads: int,
        exact: bool = False,
    ) -> None:
        """Load the file `model`, or its content.

        Raises BundleError if it cannot be loaded, or if its inputs or outputs differ.

        `exact` selects INT8 kernels that do not saturate on x86 processors without VNNI; on others it changes nothing.
        """
        options = session_options(threads)
        if exact:
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class but this
            reason = str(error).splitlines()[0]
            raise BundleError(
                f"{_named(model)}: onnxruntime cannot load it ({reason}); export the bundle again"
            ) from error
        _check_signature(self._session, _named(model), spec, classes)

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """Classify `pixels` [N, height, width, 3], RGB, 0..255."""
        return Inference(*self._session.run([PROBABILITIES, ACTIVATION_MAP], {INPUT: pixels}))


def session_options(threads: int) -> ort.SessionOptions:
    """Our settings of onnxruntime: `threads` for one inference, which spin while it runs and never after it.

    Spinning between two layers saves the second thread a tenth of the time; between two requests it burns cores.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it keeps megabytes and saves no time that can be measured
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if threads > 1 else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _named(model: Path | bytes) -> str:
    return "the model" if isinstance(model, bytes) else str(model)


def _check_signature(session: ort.InferenceSession, model: str, spec: ImageSpec, classes: int) -> None:
    inputs = {node.name: (node.type, node.shape[1:]) for node in session.get_inputs()}
    expected = {INPUT: ("tensor(uint8)", [spec.height, spec.width, 3])}
    if inputs != expected:
        raise BundleError(f"{model}: its input is {inputs}, the manifest says {expected}; export the bundle again")
    batch = session.get_inputs()[0].shape[0]
    if isinstance(batch, int):
        raise BundleError(f"{model}: it takes batches of {batch} only; export the bundle again")
    outputs = {node.name: node.shape[1:2] for node in session.get_outputs()}
    if outputs != {PROBABILITIES: [classes], ACTIVATION_MAP: [classes]}:
        raise BundleError(f"{model}: its outputs are {outputs}, the manifest says {classes}; export the bundle again")
