"""Table of instruction sets: their numbers in the kernel, and how each wants weights and tiles laid out."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

# `reference` is scalar code for every processor, which the tests compare the others with; it never serves.
Instructions = Literal["reference", "sse4", "avx2", "avxvnni", "vnni", "amx", "neon", "dotprod", "i8mm"]
NAMES: tuple[Instructions, ...] = ("reference", "sse4", "avx2", "avxvnni", "vnni", "amx", "neon", "dotprod", "i8mm")
ISA = {name: number for number, name in enumerate(NAMES)}  # as in kernel/api.h
# Of each processor family, the fastest first.
FASTEST: dict[str, tuple[Instructions, ...]] = {
    "x86_64": ("amx", "vnni", "avxvnni", "avx2", "sse4"),
    "aarch64": ("i8mm", "dotprod", "neon"),
}

GROUP = 32  # a multiple of which channels are, filled up: what a block computes at least, as in kernel/internal.h


class Layout(NamedTuple):
    """How one instruction set's steps are laid out; kernel/isa/*.c have the same numbers as constants."""

    rows: int  # places of a tile at most
    products: int  # of a step of the reduction
    unit: int  # of them side by side for one output
    run: int = 1  # rows of a tile that lie at one distance
    lanes: int = GROUP  # outputs whose weights lie together
    weights: type[np.int8] | type[np.int16] = np.int8
    wide: bool = False  # activations are 16-bit integers, too
    weight_zero: int = 0  # added to each weight; then the lists hold the sums of the activations, too
    reads: int = 8  # bytes of a row that a step reads, of which `products` count
    chunk: int = 16  # bytes of a row that are looked at together for a list
    gathers: bool = False  # the activations of the listed steps, [steps][rows][products], behind each list
    winograd: int = 0  # products of 16 bits a cycle, by which Winograd's convolution is weighed; 0: there is none
    direct: float = 1  # products of the direct convolution in the time of one of these
    winograd_unit: int = 2  # channels of Winograd's products side by side for one output
    transformed: int = 16  # channels that are transformed together at most
    sparse_outputs: int = 64  # of a layer, from which on a list of its nonzero steps is worth its time; 0: never

    @property
    def needs_lists(self) -> bool:
        """Whether the kernel takes from the lists more than the steps that are not zero."""
        return self.gathers or self.weight_zero != 0

    @property
    def step_bytes(self) -> int:
        """Of the weights of a group of outputs in one step of the reduction."""
        return self.lanes * self.products * np.dtype(self.weights).itemsize


LAYOUTS: dict[Instructions, Layout] = {
    "sse4": Layout(rows=3, products=2, unit=2, winograd=8),
    "avx2": Layout(rows=3, products=2, unit=2, weights=np.int16, wide=True, winograd=16),
    "avxvnni": Layout(rows=3, products=4, unit=4, sparse_outputs=128, winograd=16, direct=2),
    "vnni": Layout(rows=6, products=4, unit=4, chunk=64, sparse_outputs=128, winograd=32, direct=2, transformed=32),
    # A step of AMX is a whole tile register: it seldom holds zeros alone.
    "amx": Layout(rows=16, products=64, unit=4, run=16, lanes=16, reads=64, sparse_outputs=0),
    "neon": Layout(rows=3, products=1, unit=1, winograd=4, winograd_unit=1),
    "dotprod": Layout(rows=3, products=4, unit=4, weight_zero=128),
    "i8mm": Layout(rows=6, products=8, unit=8, gathers=True),
}
# Steps of four times as many products, where channels are so few that hardly any four of them are 0.
DENSE: dict[Instructions, Layout] = {"dotprod": LAYOUTS["dotprod"]._replace(products=16, reads=16)}
DENSE_CHANNELS = 128


def layout_of(instructions: Instructions, channels: int) -> Layout:
    """How a convolution of so many channels is laid out."""
    return DENSE.get(instructions, LAYOUTS[instructions]) if channels <= DENSE_CHANNELS else LAYOUTS[instructions]


MOST_READ = max(layout.reads for layout in (*LAYOUTS.values(), *DENSE.values()))
MOST_ROWS = max(layout.rows for layout in LAYOUTS.values())
