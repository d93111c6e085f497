"""The native kernel answers as onnxruntime does, with every variant of it that this processor has."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from runtime.bundle.manifest import BundleError
from runtime.image import ImageSpec
from runtime.inference.interface import Inference
from runtime.inference.native_session import NativeSession, open_native
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.native.layout import Instructions
from runtime.native.onnx_importer import UnknownGraphError
from tests.runtime.native.models import (
    CLASSES,
    VARIANTS,
    every_fast_set,
    every_instruction_set,
    every_variant,
    library_of,
    model_of,
    photos,
    variant_of,
    write_random,
)
from tests.support.suite.repeats import thorough_but
from tests.support.waiting import wait_until

EQUAL = 2e-6  # probabilities: all bytes are equal, and onnxruntime's classifier adds its floats in another order
SIZE, SMALL = 128, 32  # of the default bundle; of tests that any size will do for
Named = tuple[Instructions, Instructions]
WIDTHS = [(32, 32, 48, 48, 64, 64, 96, 96), (16, 16, 16, 16, 80, 80, 208, 16)]  # channels inside the blocks


@lru_cache(maxsize=1)
def exact(content: bytes, size: int) -> OnnxruntimeSession:
    with TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(content)
        return OnnxruntimeSession(file, ImageSpec(height=size, width=size), CLASSES, threads=1, exact=True)


@cache
def exact_answer(content: bytes, size: int, count: int) -> Inference:
    """Of onnxruntime, to the photos of `count`: the same for all variants."""
    return exact(content, size).infer(photos(count, size))


@cache
def one_by_one(content: bytes, size: int, count: int) -> Inference:
    """Of the reference, each photo by itself."""
    session = variant_of(("reference", "neon")).session(content, size)
    answers = [session.infer(each[np.newaxis]) for each in photos(count, size)]
    return Inference(*(np.concatenate(each) for each in zip(*answers, strict=True)))


def assert_equal(
    variant: Named, content: bytes, size: int, *, counts: tuple[int, ...], threads: tuple[int, ...]
) -> None:
    found = variant_of(variant)
    expected = {count: exact_answer(content, size, count) for count in counts}
    for each in threads:
        session = found.session(content, size, threads=each)
        for count in counts:
            answer = session.infer(photos(count, size))
            assert answer.probabilities.dtype == answer.activation_map.dtype == np.float32
            assert np.abs(answer.probabilities - expected[count].probabilities).max() < EQUAL
            np.testing.assert_allclose(answer.activation_map, expected[count].activation_map, rtol=1e-4, atol=1e-4)


@every_variant
def test_the_same_bytes_are_answered_by_all_in_any_batch_on_any_number_of_threads(variant: Named) -> None:
    """Scores and probabilities, too: each sum has one order."""
    content = model_of(SMALL, shuffled=True)
    expected = one_by_one(content, SMALL, 8)
    for threads in (1, 2):
        session = variant_of(variant).session(content, SMALL, threads=threads)
        for count in (1, 2, 3, 8):
            answer = session.infer(photos(8, SMALL)[:count])
            np.testing.assert_array_equal(answer.probabilities, expected.probabilities[:count])
            np.testing.assert_array_equal(answer.activation_map, expected.activation_map[:count])


@pytest.mark.parametrize("size", thorough_but((50,), (32, 50, 72)))
@every_instruction_set
def test_inputs_of_any_size_are_answered_alike(variant: Named, size: int) -> None:
    assert_equal(variant, model_of(size), size, counts=(1, 2), threads=(2,))


@pytest.mark.parametrize("size", thorough_but((128,), (128, 224)))
@every_fast_set
def test_large_inputs_are_answered_alike(variant: Named, size: int) -> None:
    assert_equal(variant, model_of(size), size, counts=(1, 2, 9) if size == SIZE else (1,), threads=(1, 3))


@pytest.mark.parametrize("widths", thorough_but(WIDTHS[1:], WIDTHS))
@every_instruction_set
def test_narrow_networks_are_answered_alike(variant: Named, widths: tuple[int, ...]) -> None:
    assert_equal(variant, model_of(64, widths=widths), 64, counts=(1, 5), threads=(1, 2))


@every_instruction_set
def test_weights_that_saturate_are_answered_alike(variant: Named) -> None:
    assert_equal(variant, model_of(64, shuffled=True), 64, counts=(3,), threads=(1,))


@pytest.mark.training
def test_a_network_as_it_is_exported_is_answered_alike(tmp_path: Path) -> None:
    content = write_random(tmp_path / "exported.onnx", size=64, widths=[32, 32, 48, 48, 64, 64, 96, 96]).read_bytes()
    assert_equal(VARIANTS["reference, laid out for avx2"], content, 64, counts=(3,), threads=(1,))


@pytest.mark.parametrize("colour", thorough_but((114,), (0, 114, 255)))
@every_instruction_set
def test_photos_with_nothing_in_them_are_answered_alike(variant: Named, colour: int) -> None:
    """If all pixels are alike, most activations are 0, and their products are skipped."""
    content, plain = model_of(SIZE), np.full((2, SIZE, SIZE, 3), colour, np.uint8)
    session = variant_of(variant).session(content, SIZE)
    expected = exact(content, SIZE).infer(plain).probabilities
    assert np.abs(session.infer(plain).probabilities - expected).max() < EQUAL


@every_instruction_set
def test_many_callers_at_once_get_each_their_own_answer(variant: Named) -> None:
    many = photos(24, SMALL)
    session = variant_of(variant).session(model_of(SMALL), SMALL, threads=2)
    alone = session.infer(many).probabilities
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(session.infer, np.split(many, 24)))
    np.testing.assert_array_equal(alone, np.concatenate([each.probabilities for each in found]))


@every_instruction_set
def test_the_pools_threads_end_with_their_session(variant: Named) -> None:
    found = variant_of(variant)
    before = _threads()
    session = found.session(model_of(SMALL), SMALL, threads=3)
    assert len(_threads() - before) >= 2
    wider = session.with_threads(2)
    assert len(_threads() - before) >= 3
    del wider, session
    gc.collect()
    wait_until(lambda: _threads() <= before, "the pool's threads")  # none but those of before


@every_instruction_set
def test_pixels_of_another_shape_are_refused(variant: Named) -> None:
    session = variant_of(variant).session(model_of(SMALL), SMALL)
    for wrong in (photos(1, SMALL + 2), photos(1, SMALL).astype(np.float32), photos(1, SMALL)[..., :1]):
        with pytest.raises(ValueError, match=r"pixels are \w+ \(1, .*not uint8 \[N, 32"):
            session.infer(wrong)
    turned = photos(2, SMALL).transpose(0, 2, 1, 3)  # the same shape, and not in the order of its memory
    np.testing.assert_array_equal(session.infer(turned).probabilities, session.infer(turned.copy()).probabilities)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"gone\.onnx: No such file or directory; export the bundle again"):
        open_native(tmp_path / "gone.onnx", ImageSpec(height=96, width=96), CLASSES, library_of("reference"), threads=1)


def test_a_file_that_is_no_model_is_left_to_onnxruntime(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(UnknownGraphError, match="not an ONNX file"):
        open_native(
            tmp_path / "model.onnx", ImageSpec(height=96, width=96), CLASSES, library_of("reference"), threads=1
        )


@every_instruction_set
def test_one_thread_computes_if_the_system_gives_no_more(variant: Named) -> None:
    session = variant_of(variant).session(model_of(SMALL), SMALL)
    alone = NativeSession(session._plan, session._library._replace(pool_create=lambda _: None), threads=2)
    np.testing.assert_array_equal(alone.infer(photos(1, SMALL))[0], session.infer(photos(1, SMALL))[0])


def _threads() -> set[str]:
    """The ids of this process's threads: those of an earlier test may be ending meanwhile, which a count would miss."""
    return {task.name for task in Path("/proc/self/task").iterdir()}
