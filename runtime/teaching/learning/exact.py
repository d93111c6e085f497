"""Arithmetic that gives the same bits on every CPU: products of exact sums, and an exponential of basic operations.

A sum of floats depends on its order, and BLAS orders sums by CPU, threads and shape. So both factors of a matrix
product are made integers of which each partial sum is below 2^53: float64 holds them all without rounding, and every
order, with fused multiply-add or without, gives the same (Ozaki, Ogita, Oishi and Rump 2012,
doi:10.1007/s11075-011-9478-1).

Other sums are `np.add.reduce` along a contiguous last axis, whose pairwise tree is the same for all SIMD widths
(`DOUBLE_pairwise_sum` in NumPy's `loops_utils.h.src`: eight accumulators, blocks of 128), or along the first axis, one
row after the other. `np.exp` is not used: NumPy has another one for AVX-512, and the C library one for FMA, which
differ in the last bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MANTISSA_BITS = 53  # of float64

_LOG2_E = 1.4426950408889634
# ln 2 in two parts (fdlibm's e_exp.c): the product of the first with an exponent is exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SQRT_HALF = 0.7071067811865476
_LOWEST = -700.0  # exp of it is nearly the smallest normal float64
_TAYLOR = [1 / float(np.prod(np.arange(1.0, n + 1))) for n in range(13, -1, -1)]  # |r| <= ln 2 / 2: to the last bits


def on_grid(values: NDArray[np.float64], bits: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows of `values` [R, N] as integers below 2^`bits`, and the unit [R, 1] of each: a power of two."""
    highest = np.abs(values).max(axis=1, keepdims=True)
    _, exponent = np.frexp(highest)
    units = np.ldexp(1.0, exponent - bits)
    return np.rint(values / units), units


def exact_bits(largest: int, terms: int) -> int:
    """Of how many bits integers may be, so that sums of `terms` products with integers up to `largest` are exact."""
    return MANTISSA_BITS - largest.bit_length() - terms.bit_length()


def exp(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """e to the power of `values` that are at most 0, to within 2 units in the last place."""
    values = np.maximum(values, _LOWEST)
    exponents = np.rint(values * _LOG2_E)
    rest = values - exponents * _LN2_HIGH
    rest -= exponents * _LN2_LOW
    power = np.full_like(values, _TAYLOR[0])
    for coefficient in _TAYLOR[1:]:
        power *= rest
        power += coefficient
    powers: NDArray[np.float64] = np.ldexp(power, exponents.astype(np.int32))
    return powers


def log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm of positive `values`, to within 2 units in the last place of a value of 1 or more."""
    fractions, exponents = np.frexp(values)
    below = fractions < _SQRT_HALF
    fractions = np.where(below, 2 * fractions, fractions)  # in [0.7, 1.4]
    ratio = (fractions - 1) / (fractions + 1)
    square, series = ratio * ratio, np.zeros_like(ratio)
    for odd in range(27, 0, -2):  # log(x) = 2 artanh((x - 1) / (x + 1))
        series = series * square + 1 / odd
    exponents = exponents - below
    return np.asarray(2 * ratio * series + exponents * _LN2_LOW + exponents * _LN2_HIGH)


def softmax(logits: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Probabilities of `logits` along an axis that is not the last one, so that its sum is one row after the other."""
    powers = exp(logits - logits.max(axis=axis, keepdims=True))
    powers /= np.add.reduce(powers, axis=axis, keepdims=True)
    return powers
