"""What was refused is tried again, less and less often."""

from __future__ import annotations

import pytest

from runtime.serving.versions import backoff
from runtime.serving.versions.backoff import LONGEST_WAIT_S, MAX_REFUSED, Backoff


def test_each_refusal_doubles_the_wait_up_to_the_longest(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(backoff.time, "monotonic", lambda: now)
    waits: Backoff[str] = Backoff(10)
    assert waits.is_due("v1")
    assert waits.refuse("v1", "bad")
    for wait_s in (10, 20, 40):
        now += wait_s - 1
        assert not waits.is_due("v1")
        now += 1
        assert waits.is_due("v1")
        assert not waits.refuse("v1", "still bad")
    for _ in range(30):
        waits.refuse("v1", "for ever bad")
    now += LONGEST_WAIT_S
    assert waits.is_due("v1")
    assert waits.items() == [("v1", "for ever bad")]


def test_what_is_forgiven_is_due_at_once():
    waits: Backoff[str] = Backoff(1000)
    waits.refuse("v1", "bad")
    waits.forgive("v1")
    assert waits.is_due("v1")
    assert waits.items() == []


def test_only_the_newest_refusals_are_remembered():
    backoff: Backoff[int] = Backoff(60)
    assert [backoff.refuse(number, "why") for number in range(1000)] == [True] * 1000
    assert not backoff.refuse(999, "why")
    assert [number for number, _ in backoff.items()] == list(range(1000 - MAX_REFUSED, 1000))
    assert backoff.is_due(1)
    assert not backoff.is_due(999)
