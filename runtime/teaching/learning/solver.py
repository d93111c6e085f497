"""Multinomial logistic regression on integer features: the same bits on every CPU, in memory that does not grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.teaching.head import Head
from runtime.teaching.learning.exact import exact_bits, on_grid, softmax

CHUNK = 512  # rows: 2 MB as float64 with 512 features, which stays in the cache for both products
# Bound of the error of a logit: the penalty makes the loss strongly convex, so weights are off by no more than the
# length of the gradient. On real features no probability is off by more than a fiftieth of that.
TOLERANCE = 0.01
MOST_STEPS = 2000
PENALTY_BITS = 16  # of a penalty's entries: 26 are left for weights, and its eigenvalues are off by a hundredth
_LEAST_RADIUS = 16.0  # with features that hardly differ the bias is still found to a hundredth of a photo
_MEMORY_BYTES = 12 << 20  # of all pairs of L-BFGS
_MOST_PAIRS, _LEAST_PAIRS = 30, 5
_MOST_OUTPUTS = 512  # of the problems that are solved in step, together: a gradient of 2 MB, and a dozen like it
_FLATTER = 0.9  # a step is long enough once the slope along it has fallen to this share
_MOST_TRIALS = 30


@dataclass(frozen=True)
class Rows:
    """N rows of features [N, D] with their classes [N], and how much each counts in P problems: `weights` [P, N].

    A row of weight 0 is not seen. `offsets` [P, N], if there are any, are added to the logits of the first class.
    """

    features: NDArray[np.uint16]
    truth: NDArray[np.int64]
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64] | None = None


def fit(
    blocks: Sequence[Rows],
    classes: int,
    *,
    scale: float,
    strength: float,
    penalty: NDArray[np.float64] | None = None,
    tolerance: float | Sequence[float] = TOLERANCE,
    on_step: Callable[[float], None] = lambda _: None,
) -> list[Head]:
    """The heads of P problems on the same rows, which minimise |W|^2 / 2 + `strength` x sum of weight x log loss.

    That is scikit-learn's `LogisticRegression(C=strength)` with `sample_weight`; the bias has no penalty. A matrix
    `penalty` [D, D] P adds w' P w / 2 for the weights w of each class. The features are integers of unit `scale`. All
    problems are solved in step by L-BFGS (Liu and Nocedal 1989), each to its `tolerance`, so that a chunk of rows is
    read once for all of them; with many classes a few problems at a time. `on_step` is told about how much of the way
    is done, 0..1; what it raises ends the search.
    """
    loss = _Loss(blocks, classes, scale=scale, strength=strength, penalty=penalty)
    lengths = np.broadcast_to(np.asarray(tolerance, np.float64), loss.problems) / loss.radius
    begin, at_once, heads = loss.nothing(), max(1, _MOST_OUTPUTS // classes), []
    for first in range(0, loss.problems, at_once):
        part = np.arange(loss.problems)[first : first + at_once]

        def on_part(done: float, solved: int = first, more: int = len(part)) -> None:
            on_step((solved + done * more) / loss.problems)

        heads += [loss.head(each) for each in _minimise(loss, part, begin[part], lengths[part], on_part)]
    return heads


def logits_of(features: NDArray[np.uint16], head: Head, scale: float) -> NDArray[np.float64]:
    """What `head` answers to integer features [N, D] of unit `scale`: logits [N, C], the same bits on every CPU."""
    bits = exact_bits(int(features.max()), features.shape[1])
    weights, units = on_grid(head.weights.T * scale, bits)
    parts = [features[first : first + CHUNK] for first in range(0, len(features), CHUNK)]
    exact = np.concatenate([part.astype(np.float64) @ weights.T for part in parts])
    logits: NDArray[np.float64] = exact * units.T + head.bias
    return logits


class _Loss:
    """The gradient of P losses, for parameters [P, C x (D + 1)]: the weights of each class, and last its bias.

    The features are centred. The parameter of a bias is that of one more feature of the size `unit`, which makes the
    loss about as curved along it as along the others: with ten classes half as many steps are taken.
    """

    def __init__(
        self,
        blocks: Sequence[Rows],
        classes: int,
        *,
        scale: float,
        strength: float,
        penalty: NDArray[np.float64] | None,
    ) -> None:
        self._blocks, self._classes, self._strength, self._scale = blocks, classes, strength, scale
        self.problems, self.dimensions = len(blocks[0].weights), blocks[0].features.shape[1]
        rows = sum(len(block.features) for block in blocks)
        total = sum(np.add.reduce(block.features, axis=0, dtype=np.int64) for block in blocks)
        self._centre: NDArray[np.float64] = (total // rows).astype(np.float64)  # [D]
        largest = max(int(block.features.max()) for block in blocks)
        self._weight_bits = exact_bits(largest, self.dimensions)
        self._residual_bits = exact_bits(largest, CHUNK)
        # The root mean square length of centred features.
        squares = sum(_squares(block.features, self._centre) for block in blocks)
        self.radius = max(scale * math.sqrt(squares / rows), _LEAST_RADIUS)
        self._unit = self.radius / 4
        self._penalty = None if penalty is None else on_grid(penalty.reshape(1, -1), PENALTY_BITS)

    def nothing(self) -> NDArray[np.float64]:
        """The parameters [P, C x (D + 1)] of heads that know nothing: all 0."""
        return np.zeros((self.problems, self._classes * (self.dimensions + 1)))

    def head(self, parameters: NDArray[np.float64]) -> Head:
        """The head that these parameters [C x (D + 1)] are, for features that are not centred."""
        table = parameters.reshape(self._classes, -1)
        weights = np.ascontiguousarray(table[:, :-1].T)
        return Head(weights, table[:, -1] * self._unit - self._shift(weights))

    def _shift(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """What `weights` [D, C] make of the centre, [C]."""
        return np.asarray(np.add.reduce(weights * (self._centre * self._scale)[:, np.newaxis], axis=0))

    def gradient(self, parameters: NDArray[np.float64], problems: NDArray[np.int64]) -> NDArray[np.float64]:
        """The gradient [A, C x (D + 1)] of the losses of A problems at `parameters` of the same shape."""
        table = parameters.reshape(len(problems) * self._classes, -1)
        weights, units = on_grid(table[:, :-1] * self._scale, self._weight_bits)
        shift = table[:, -1:] * self._unit - np.add.reduce(weights * self._centre, axis=1, keepdims=True) * units
        sums = np.zeros_like(table)
        for block in self._blocks:
            for first in range(0, len(block.features), CHUNK):
                part = slice(first, first + CHUNK)
                features = block.features[part].astype(np.float64)  # [n, D]
                logits = weights @ features.T
                logits *= units
                logits += shift
                if block.offsets is not None:
                    logits[:: self._classes] += block.offsets[problems, part]
                sums += self._pulled(logits, features, block.truth[part], block.weights[problems, part])
        sums[:, :-1] -= sums[:, -1:] * self._centre
        sums *= self._strength
        sums[:, :-1] *= self._scale
        sums[:, -1] *= self._unit
        sums[:, :-1] += table[:, :-1]
        if self._penalty is not None:
            sums[:, :-1] += self._penalised(table[:, :-1])
        return sums.reshape(len(problems), -1)

    def _penalised(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The penalty matrix times `weights` [R, D], as it is on its grid."""
        assert self._penalty is not None  # noqa: S101 - asked before
        matrix, unit = self._penalty
        whole, units = on_grid(weights, exact_bits(1 << PENALTY_BITS, self.dimensions))
        return (whole @ matrix.reshape(self.dimensions, -1)) * (units * unit)

    def _pulled(
        self,
        logits: NDArray[np.float64],
        features: NDArray[np.float64],
        truth: NDArray[np.int64],
        counts: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """What n rows add to the sums [A x C, D + 1]: `logits` are [A x C, n], `counts` [A, n]."""
        residuals = softmax(logits.reshape(len(counts), self._classes, -1), axis=1)
        residuals[:, truth, np.arange(len(truth))] -= 1
        residuals *= counts[:, np.newaxis]
        whole, units = on_grid(residuals.reshape(logits.shape), self._residual_bits)
        return np.concatenate([whole @ features, np.add.reduce(whole, axis=1, keepdims=True)], axis=1) * units


def _squares(features: NDArray[np.uint16], centre: NDArray[np.float64]) -> float:
    """The sum of squares of centred features."""
    total = 0.0
    for first in range(0, len(features), CHUNK):
        centred = features[first : first + CHUNK] - centre
        total += float(np.add.reduce(np.add.reduce(centred * centred, axis=0)))
    return total


def _minimise(
    loss: _Loss,
    problems: NDArray[np.int64],
    parameters: NDArray[np.float64],
    tolerance: NDArray[np.float64],
    on_step: Callable[[float], None],
) -> NDArray[np.float64]:
    """The parameters [P, S] of `problems` [P] where the length of each gradient is at most its `tolerance` [P]."""
    found = parameters.copy()
    active = np.arange(len(problems))
    here, slope = parameters, loss.gradient(parameters, problems)
    memory = _Memory(parameters.shape, 1 / loss.radius)
    first = lengths = np.sqrt(_dot(slope, slope))
    done = 0.0
    for _ in range(MOST_STEPS):
        done = max(done, _done(lengths, first, tolerance[active]))
        on_step(done)
        going = lengths > tolerance[active]
        found[active] = here
        if not going.any():
            return found
        active, here, slope, first = active[going], here[going], slope[going], first[going]
        memory.keep(going)
        direction = -memory.newton(slope)
        there, then = _along(loss, problems[active], here, slope, direction)
        progress = memory.add(there - here, then - slope)
        here, slope = there, then
        lengths = np.where(progress, np.sqrt(_dot(then, then)), 0)  # else no nearer than rounding allows
    raise ArithmeticError(f"logistic regression has not converged in {MOST_STEPS} steps")


def _done(lengths: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]) -> float:
    """How much of the way from the `first` lengths of gradients to the `last` is done: they fall exponentially."""
    last = np.clip(last, np.finfo(np.float64).tiny, None)
    ways = np.log(np.maximum(first / last, 1))
    left = np.log(np.maximum(lengths / last, 1))
    return float(np.clip(1 - left / np.maximum(ways, np.finfo(np.float64).tiny), 0, 1).min())


def _along(
    loss: _Loss,
    problems: NDArray[np.int64],
    here: NDArray[np.float64],
    slope: NDArray[np.float64],
    direction: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A point of each problem in its `direction` where the loss is flatter, and the gradient there.

    The slope along a line rises in a convex loss, so its zero is bracketed and found by secants and by halving in turn:
    where the slope explodes on one side, secants alone creep. No loss is needed.
    """
    steepness = _dot(slope, direction)  # [A], negative
    step = np.ones(len(problems))
    low, low_slope = np.zeros(len(problems)), steepness.copy()
    high, high_slope = np.full(len(problems), np.inf), np.zeros(len(problems))
    for trial in range(_MOST_TRIALS):
        there = here + step[:, np.newaxis] * direction
        then = loss.gradient(there, problems)
        now = _dot(then, direction)
        done = np.abs(now) <= _FLATTER * np.abs(steepness)
        if done.all():
            break
        below = ~done & (now < 0)
        above = ~done & (now >= 0)
        low, low_slope = np.where(below, step, low), np.where(below, now, low_slope)
        high, high_slope = np.where(above, step, high), np.where(above, now, high_slope)
        bracketed = np.isfinite(high)
        width = np.where(bracketed, high, 0) - low
        share = 0.5 if trial % 2 else -low_slope / np.where(bracketed, high_slope - low_slope, 1)
        step = np.where(done, step, np.where(bracketed, low + share * width, 2 * step))
    return there, then


class _Memory:
    """The last pairs of steps and changes of the gradient: an estimate of the inverse Hessian of each problem."""

    def __init__(self, shape: tuple[int, ...], first: float) -> None:
        """For parameters of `shape` [P, S]; `first` is how long the first step is to be."""
        self._first = first
        pair = 2 * 8 * int(np.prod(shape))
        self._most = max(_LEAST_PAIRS, min(_MOST_PAIRS, _MEMORY_BYTES // pair))
        self._pairs: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []

    def keep(self, problems: NDArray[np.bool_]) -> None:
        """Forget the other problems."""
        if not problems.all():
            self._pairs = [(step[problems], change[problems], bend[problems]) for step, change, bend in self._pairs]

    def add(self, step: NDArray[np.float64], change: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Remember one more pair [A, S]; tells for which problems it is one, [A]: the others are to be forgotten."""
        bend = _dot(step, change)
        self._pairs = [*self._pairs[-self._most + 1 :], (step, change, bend)]
        return bend > 0

    def newton(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """The estimate of the inverse Hessian times `slope` [A, S]: the two-loop recursion."""
        if not self._pairs:
            return slope * (self._first / np.sqrt(_dot(slope, slope)))[:, np.newaxis]
        direction, shares = slope.copy(), []
        for step, change, bend in reversed(self._pairs):
            shares.append(_dot(step, direction) / bend)
            direction -= shares[-1][:, np.newaxis] * change
        _, change, bend = self._pairs[-1]
        direction *= (bend / _dot(change, change))[:, np.newaxis]
        for (step, change, bend), share in zip(self._pairs, reversed(shares), strict=True):
            direction += (share - _dot(change, direction) / bend)[:, np.newaxis] * step
        return direction


def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The dot products of rows, [A]."""
    products: NDArray[np.float64] = np.add.reduce(one * other, axis=1)
    return products
