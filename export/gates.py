"""Quality gates: parity, INT8 agreement, accuracy loss and accuracy that a bundle must reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.bundle.manifest import Gate
from runtime.errors import Refusal
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from training.metrics.scores import Predictions, score
from training.model.checkpoint import Checkpoint
from training.model.network import normalise

PARITY_LIMIT = 1e-4  # probabilities of PyTorch and of the FP32 graph
AGREEMENT_LIMIT = 0.99  # photos with the same label as INT8 and FP32
ACCURACY_LOSS_LIMIT = 0.005
NARROWING_LIMIT = 0.01  # of accuracy, from the wide network to the narrow one made of it
BATCH = 16


class GateError(Refusal):
    """A model that must not be published; the message names each gate that it failed."""


@dataclass(frozen=True)
class Limits:
    """What the operator may set."""

    min_accuracy: float = 0.93
    answered_precision: float = 0.99
    min_agreement: float = AGREEMENT_LIMIT
    max_accuracy_loss: float = ACCURACY_LOSS_LIMIT
    max_narrowing_loss: float = NARROWING_LIMIT


def parity(checkpoint: Checkpoint, temperature: float, fp32: OnnxruntimeSession, pixels: NDArray[np.uint8]) -> float:
    """The largest difference of probabilities between PyTorch and the FP32 graph on `pixels` [N, H, W, 3], 0..1.

    Each photo is asked for by itself and in batches: an exporter that bakes in the batch size is caught.
    """
    network = checkpoint.network()
    worst = 0.0
    for start in range(0, len(pixels), BATCH):
        batch = np.ascontiguousarray(pixels[start : start + BATCH])
        with torch.inference_mode():
            expected = torch.softmax(network(normalise(torch.from_numpy(batch))) / temperature, dim=1).numpy()
        alone = np.concatenate([fp32.infer(batch[i : i + 1]).probabilities for i in range(len(batch))])
        together = fp32.infer(batch).probabilities
        worst = max(worst, float(np.abs(expected - alone).max()), float(np.abs(expected - together).max()))
    return worst


def measure(
    *, parity: float, fp32: Predictions, int8: Predictions, wide_accuracy: float | None = None, limits: Limits
) -> list[Gate]:
    """All gates with their figures; `parity` is a difference of probabilities, 0..1.

    `wide_accuracy` is that of the network that a narrow one was made of, on the same photos.
    """
    accuracy = score(int8).accuracy
    gates = [
        Gate("parity", parity, PARITY_LIMIT, "at most"),
        Gate("agreement", float((fp32.predicted == int8.predicted).mean()), limits.min_agreement, "at least"),
        Gate("accuracy_loss", score(fp32).accuracy - accuracy, limits.max_accuracy_loss, "at most"),
        Gate("accuracy", accuracy, limits.min_accuracy, "at least"),
    ]
    if wide_accuracy is not None:
        gates.append(Gate("narrowing", wide_accuracy - accuracy, limits.max_narrowing_loss, "at most"))
    return gates


def require(gates: Sequence[Gate]) -> None:
    """Raise GateError naming every gate that failed."""
    failed = [
        f"{gate.name} is {gate.value:.4g}, must be {gate.rule} {gate.limit:.4g}" for gate in gates if not gate.passed
    ]
    if failed:
        raise GateError(f"the model did not pass: {'; '.join(failed)}; nothing was written")
