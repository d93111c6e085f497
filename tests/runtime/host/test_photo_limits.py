"""The limits of photos follow the memory of the process; what is set explicitly wins."""

from __future__ import annotations

import pytest

from runtime.host.photo_limits import (
    MAX_DECODING_BYTES,
    MAX_PIXELS,
    MAX_SCALED_PIXELS,
    PhotoLimits,
    limits_for,
    small_bytes,
)

MIB = 2**20


@pytest.mark.parametrize(("memory_mib", "decoding_mib"), [(128, 16), (256, 88), (512, 280)])
def test_the_memory_for_decoding_is_a_share_of_what_the_process_may_take(memory_mib: int, decoding_mib: int) -> None:
    limits = limits_for(memory_mib * MIB)
    assert limits == PhotoLimits(MAX_PIXELS, MAX_SCALED_PIXELS, decoding_mib * MIB, memory_mib * MIB)


@pytest.mark.parametrize("memory_bytes", [None, 2**34])
def test_a_large_host_or_an_unknown_one_has_the_limits_that_are_useful(memory_bytes: int | None) -> None:
    assert limits_for(memory_bytes) == PhotoLimits(memory_bytes=memory_bytes)


def test_an_explicit_pixel_limit_holds_for_every_format() -> None:
    assert limits_for(512 * MIB, max_pixels=12_000_000) == PhotoLimits(
        12_000_000, 12_000_000, 280 * MIB, memory_bytes=512 * MIB
    )


def test_an_explicit_pixel_limit_wins_over_the_memory() -> None:
    limits = limits_for(256 * MIB, max_pixels=64_000_000)
    assert limits.max_pixels == limits.max_scaled_pixels == 64_000_000
    assert limits.decoding_bytes >= 6 * 64_000_000
    assert limits.memory_bytes is None


def test_an_explicit_memory_wins_over_all() -> None:
    for pixels in (None, 64_000_000):
        limits = limits_for(256 * MIB, max_pixels=pixels, decoding_bytes=10 * MIB)
        assert (limits.decoding_bytes, limits.memory_bytes) == (10 * MIB, None)


def test_the_most_by_default_is_a_progressive_jpeg_of_the_largest_size() -> None:
    assert 6.06 * MAX_PIXELS < MAX_DECODING_BYTES < 6.3 * MAX_PIXELS


def test_what_never_waits_is_small_enough_for_one_on_each_processor():
    assert small_bytes(None, 2) == small_bytes(512 * MIB, 16) == 4_000_000
    assert small_bytes(256 * MIB, 1) == small_bytes(2**40, 16) == 24_000_000
    assert small_bytes(256 * MIB, 2) == 12 * MIB
