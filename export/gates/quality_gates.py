"""Quality gates: what a bundle must reach to be written.

A few dozen validation photos cannot tell 99 % from 98.75 %. So where INT8 or a narrow network is compared with what it
was made of, a model is refused only if the whole 95 % interval lies beyond the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.gates.class_gates import Counts, balanced_accuracy, worst_recall
from runtime.bundle.manifest import Gate
from runtime.errors import Refusal
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.inference.thresholds import ANSWER_PRECISION, UNKNOWN_PRICE
from training.metrics.calibration import Thresholds
from training.metrics.intervals import exact_interval, paired_interval
from training.metrics.scores import Predictions, score
from training.metrics.unknown import answers, same_answers

PARITY_LIMIT = 1e-4  # probabilities of PyTorch and of the FP32 graph
AGREEMENT_LIMIT = 0.99  # photos with the same label as INT8 and FP32
ACCURACY_LOSS_LIMIT = 0.005
PUBLIC_ACCURACY = 0.93  # on the public photos, which the recipe was made for; other photos may be harder
NARROWING_LIMIT = 0.01  # of accuracy, from the wide network to the narrow one made of it
BATCH = 16

_OTHER_FLOOR = "--min-accuracy or DANDELION_MIN_ACCURACY sets another floor"
_ANY_MODEL = "look at the report, add photos; --min-accuracy 0 or DANDELION_MIN_ACCURACY=0 takes any model"
_NO_OTHER = "look at the report; `python -m training fetch --no-other` trains without photos of other things"
REMEDIES = {
    "accuracy": _OTHER_FLOOR,
    "balanced_accuracy": _ANY_MODEL,
    "worst_recall": _ANY_MODEL,
    "own_called_unknown": _NO_OTHER,
}
ALWAYS_ANSWERED = Thresholds(abstain=0.0)


class GateError(Refusal):
    """A model that must not be published; the message names each gate that it failed."""


@dataclass(frozen=True)
class Limits:
    """What the operator may set; without `min_accuracy` there is no floor."""

    min_accuracy: float | None = None
    answered_precision: float = ANSWER_PRECISION
    min_agreement: float = AGREEMENT_LIMIT
    max_accuracy_loss: float = ACCURACY_LOSS_LIMIT
    max_narrowing_loss: float = NARROWING_LIMIT
    max_called_unknown: float = UNKNOWN_PRICE

    def for_data(self, *, public: bool) -> Limits:
        """These limits, with the floor of the public photos where they are trained on and no other is set."""
        return replace(self, min_accuracy=PUBLIC_ACCURACY) if public and self.min_accuracy is None else self

    def guessing(self, classes: int) -> float:
        """What each class must be recognised with: better than by guessing, or the floor where that is lower."""
        return min(1 / classes, 1.0 if self.min_accuracy is None else self.min_accuracy)


def parity(
    expected: NDArray[np.float32], alone: NDArray[np.float32], fp32: OnnxruntimeSession, pixels: NDArray[np.uint8]
) -> float:
    """The largest difference between PyTorch's probabilities `expected` and the FP32 graph's of `pixels`, 0..1.

    The graph's are those of each photo `alone` and those in batches: an exporter that bakes in the batch size is
    caught. `expected` and `alone` are [N, C], `pixels` [N, H, W, 3].
    """
    starts = range(0, len(pixels), BATCH)
    batches = [np.ascontiguousarray(pixels[start : start + BATCH]) for start in starts]
    together = np.concatenate([fp32.infer(batch).probabilities for batch in batches])
    return max(float(np.abs(expected - found).max()) for found in (alone, together))


def measure(
    *,
    parity: float,
    fp32: Predictions,
    int8: Predictions,
    thresholds: Thresholds = ALWAYS_ANSWERED,
    wide_accuracy: float | None = None,
    limits: Limits,
    trained: Callable[[int], Counts],
) -> list[Gate]:
    """All gates with their figures; `parity` is a difference of probabilities, 0..1.

    All but the agreement are about photos of the labels; of the other photos' answers it matters only that INT8 gives
    the same. `wide_accuracy` is that of the network that a narrow one was made of, on the same photos. `trained` tells
    of a class how many of its training photos INT8 names right, and how many there are.
    """
    same = same_answers(fp32, int8, thresholds)
    fp32, int8 = fp32.own, int8.own
    accuracy = score(int8).accuracy
    guessing = limits.guessing(len(int8.labels))
    gates = [
        Gate("parity", parity, PARITY_LIMIT, "at most"),
        _agreement(same, limits.min_agreement),
        _accuracy_loss(fp32, int8, limits.max_accuracy_loss),
        balanced_accuracy(int8, guessing),
        worst_recall(int8, guessing, trained),
    ]
    if limits.min_accuracy is not None:
        gates.append(Gate("accuracy", accuracy, limits.min_accuracy, "at least"))
    if thresholds.unknown is not None:
        gates.append(_called_unknown(int8, thresholds, limits.max_called_unknown))
    if wide_accuracy is not None:
        gates.append(_narrowing(wide_accuracy - accuracy, len(int8.truth), limits.max_narrowing_loss))
    return gates


def require(gates: Sequence[Gate]) -> None:
    """Raise GateError naming every gate that failed, and what can be done."""
    failed = [_reason(gate) for gate in gates if not gate.passed]
    if failed:
        raise GateError(f"the model did not pass: {'; '.join(failed)}; nothing was written")


def _agreement(same: NDArray[np.bool_], limit: float) -> Gate:
    agreed, photos = int(same.sum()), len(same)
    _, high = exact_interval(agreed, photos)
    return Gate("agreement", agreed / photos, limit, "at least", high, f"{photos - agreed} of {photos} photos differ")


def _called_unknown(int8: Predictions, thresholds: Thresholds, limit: float) -> Gate:
    """The price of the unknown class: photos of the labels that are said to show none of them."""
    called, photos = int(answers(int8, thresholds).unknown.sum()), len(int8.truth)
    low, _ = exact_interval(called, photos)
    return Gate("own_called_unknown", called / photos, limit, "at most", low, f"{called} of {photos} photos")


def _accuracy_loss(fp32: Predictions, int8: Predictions, limit: float) -> Gate:
    before, after = (said.predicted == said.truth for said in (fp32, int8))
    lost, won, photos = int((before & ~after).sum()), int((after & ~before).sum()), len(after)
    low, _ = paired_interval(lost, won, photos)
    return Gate("accuracy_loss", (lost - won) / photos, limit, "at most", low, f"{lost} of {photos} lost, {won} won")


def _narrowing(loss: float, photos: int, limit: float) -> Gate:
    """Which photos the wide network was right on is not known any more: at best, the narrow one won none back."""
    lost = round(loss * photos)
    low, _ = paired_interval(max(lost, 0), max(-lost, 0), photos)
    return Gate("narrowing", loss, limit, "at most", low, f"{lost} of {photos} lost")


def _reason(gate: Gate) -> str:
    details = [] if gate.about is None else [gate.about]
    if gate.bound is not None:
        details.append(f"95 % interval {'from' if gate.bound <= gate.value else 'to'} {gate.bound:.4g}")
    reason = f"{gate.name} is {gate.value:.4g}, must be {gate.rule} {gate.limit:.4g}"
    if details:
        reason += f" ({', '.join(details)})"
    return f"{reason}: {REMEDIES[gate.name]}" if gate.name in REMEDIES else reason
