from __future__ import annotations

from typing import get_args

from runtime.inference.backends import NATIVE, Name
from runtime.inference.kernel_labels import LABELS, label_of


def test_every_kernel_has_a_label_of_its_own():
    assert set(LABELS) == set(get_args(Name)) >= NATIVE
    assert len(set(LABELS.values())) == len(LABELS)


def test_a_kernel_of_another_release_is_called_by_its_name():
    assert label_of("dotprod") == "ARM dot product"
    assert label_of("sve2") == "sve2"
