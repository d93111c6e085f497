from __future__ import annotations

import tracemalloc

import numpy as np

from runtime.teaching.learning.near_copies import distinct, near_copies
from tests.runtime.teaching.learning.drawn import drawn_features


def test_near_copies_have_one_number_and_other_photos_one_each() -> None:
    truth = np.zeros(12, np.int64)
    features = drawn_features(truth, noise=1.0)[:, 0]
    features[7] = features[2] + 1
    features[9] = np.rint(features[7] * 1.2).astype(np.uint16)  # brighter: the same direction
    groups = near_copies(features, truth)
    assert groups.tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 8, 2, 10, 11]


def test_a_photo_under_two_labels_is_no_copy() -> None:
    truth = np.arange(12) % 2
    features = drawn_features(truth, noise=1.0)[:, 0]
    features[1] = features[0]
    assert near_copies(features, truth).tolist() == list(range(12))


def test_of_a_camera_that_does_not_move_only_true_copies_are_copies() -> None:
    truth = np.repeat([0, 1], 8)
    scenes = drawn_features(np.arange(2))[:, 0]
    features = scenes[truth] + np.random.default_rng(0).integers(0, 4, (16, 64)).astype(np.uint16)
    features[3] = features[0]
    assert near_copies(features, truth).tolist() == [0, 1, 2, 0, *range(4, 16)]


def test_copies_are_found_across_chunks() -> None:
    truth = np.zeros(2600, np.int64)
    features = drawn_features(truth, dimensions=32, noise=1.0)[:, 0]
    features[2500] = features[10]
    features[1500] = features[2500]
    groups = near_copies(features, truth)
    assert groups[[10, 1500, 2500]].tolist() == [10, 10, 10]


def test_a_chain_of_near_copies_is_one_group() -> None:
    truth = np.zeros(12, np.int64)
    features = drawn_features(truth, dimensions=512, noise=1.0)[:, 0]
    step = features[2] // 8
    features[9], features[5] = features[2] + step, features[2] + 2 * step
    groups = near_copies(features, truth)
    assert groups[[2, 5, 9]].tolist() == [2, 2, 2]
    assert len(np.unique(groups)) == 10


def test_a_burst_of_a_camera_that_stands_still_takes_no_memory_for_its_pairs() -> None:
    generator = np.random.default_rng(0)
    truth = np.zeros(1000, np.int64)
    features = generator.integers(100, 5000, 512) + generator.integers(-20, 20, (1000, 512))
    tracemalloc.start()
    try:
        near_copies(features.astype(np.uint16), truth)
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


def test_photos_without_any_feature_are_copies_of_each_other() -> None:
    truth = np.zeros(8, np.int64)
    features = drawn_features(truth, noise=1.0)[:, 0]
    features[[1, 4]] = 0
    groups = near_copies(features, truth)
    assert groups[1] == groups[4]


def test_distinct_photos_are_counted_by_class() -> None:
    truth = np.repeat([0, 1], 4)
    features = drawn_features(truth)[:, 0]
    features[1:4] = features[0]
    assert distinct(features, truth, 2).tolist() == [1, 4]
