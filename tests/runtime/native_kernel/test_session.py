"""The native kernel answers as onnxruntime does. Where a processor has no AVX-512 VNNI, there is nothing to compare."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from runtime.bundle import Bundle, BundleError
from runtime.default import default_bundle
from runtime.image import ImageSpec
from runtime.native.library import library
from runtime.native.network import UnknownGraphError
from runtime.native.session import NativeSession, open_native
from runtime.session import Session
from tests.runtime.native_kernel.models import photos, sessions, write_random
from tests.waiting import wait_until

EQUAL = 2e-6  # probabilities: all bytes are equal, and the classifier on top adds its floats in another order


def exact(model: Path, size: int) -> Session:
    return Session(model, ImageSpec(height=size, width=size), 2, threads=1, exact=True)


def assert_equal(model: Path, size: int, counts: tuple[int, ...], threads: tuple[int, ...]) -> None:
    expected = {count: exact(model, size).infer(photos(count, size)) for count in counts}
    for each in threads:
        for session in sessions(model, size, threads=each):
            for count in counts:
                answer = session.infer(photos(count, size))
                assert answer.probabilities.dtype == answer.activation_map.dtype == np.float32
                assert np.abs(answer.probabilities - expected[count].probabilities).max() < EQUAL
                np.testing.assert_allclose(answer.activation_map, expected[count].activation_map, rtol=1e-4, atol=1e-4)


def test_the_default_model_is_answered_alike_in_any_batch_on_any_number_of_threads() -> None:
    bundle = Bundle.open(default_bundle())
    assert_equal(bundle.model, bundle.manifest.input.height, (1, 2, 3, 7, 8, 9, 17), (1, 2, 3))


@pytest.mark.parametrize("size", [32, 50, 64, 72, 128, 160, 224, 230])
def test_inputs_of_any_size_are_answered_alike(size: int, tmp_path: Path) -> None:
    assert_equal(write_random(tmp_path / "model.onnx", size=size), size, (1, 3), (1, 2))


@pytest.mark.parametrize("widths", [[32, 32, 48, 48, 64, 64, 96, 96], [16, 16, 16, 16, 80, 80, 208, 16]])
def test_narrow_networks_are_answered_alike(widths: list[int], tmp_path: Path) -> None:
    assert_equal(write_random(tmp_path / "model.onnx", size=96, widths=widths), 96, (1, 5), (1, 2))


@pytest.mark.parametrize("colour", [0, 114, 255])
def test_photos_with_nothing_in_them_are_answered_alike(colour: int) -> None:
    """Where all is alike, most of what is computed is 0, and left out."""
    bundle = Bundle.open(default_bundle())
    size = bundle.manifest.input.height
    plain = np.full((2, size, size, 3), colour, np.uint8)
    expected = exact(bundle.model, size).infer(plain).probabilities
    for session in sessions(bundle.model, size):
        assert np.abs(session.infer(plain).probabilities - expected).max() < EQUAL


def test_many_callers_at_once_get_each_their_own_answer() -> None:
    bundle = Bundle.open(default_bundle())
    size = bundle.manifest.input.height
    many = photos(64, size)
    for session in sessions(bundle.model, size, threads=2):
        alone = session.infer(many).probabilities
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(session.infer, np.split(many, 64)))
        np.testing.assert_array_equal(alone, np.concatenate([each.probabilities for each in found]))


def test_threads_that_help_end_with_their_session() -> None:
    bundle = Bundle.open(default_bundle())
    before = _threads()
    for session in sessions(bundle.model, bundle.manifest.input.height, threads=3):
        assert _threads() >= before + 2
        wider = session.wider(2)
        assert _threads() >= before + 3
        del wider
    session = None
    gc.collect()
    wait_until(lambda: _threads() <= before, "the threads that helped")


def test_pixels_of_another_shape_are_refused() -> None:
    bundle = Bundle.open(default_bundle())
    size = bundle.manifest.input.height
    for session in sessions(bundle.model, size):
        for wrong in (photos(1, size + 2), photos(1, size).astype(np.float32), photos(1, size)[..., :1]):
            with pytest.raises(ValueError, match=r"pixels are \w+ \(1, .*not uint8 \[N, 96"):
                session.infer(wrong)
        turned = photos(2, size).transpose(0, 2, 1, 3)  # the same shape, and not in the order of its memory
        np.testing.assert_array_equal(session.infer(turned).probabilities, session.infer(turned.copy()).probabilities)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    found = library()
    if found is not None:
        with pytest.raises(BundleError, match=r"gone\.onnx: No such file or directory; export the bundle again"):
            open_native(tmp_path / "gone.onnx", ImageSpec(height=96, width=96), 2, found, threads=1)


def test_a_file_that_is_no_model_is_left_to_onnxruntime(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 100)
    found = library()
    if found is not None:
        with pytest.raises(UnknownGraphError, match="not an ONNX file"):
            open_native(tmp_path / "model.onnx", ImageSpec(height=96, width=96), 2, found, threads=1)


def test_where_the_system_gives_no_threads_one_computes() -> None:
    bundle = Bundle.open(default_bundle())
    size = bundle.manifest.input.height
    for session in sessions(bundle.model, size):
        none = NativeSession(session._plan, session._library._replace(hire=lambda _: None), threads=2)
        np.testing.assert_array_equal(none.infer(photos(1, size))[0], session.infer(photos(1, size))[0])


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))
