from __future__ import annotations

from runtime.serving.monitoring.metrics import Metrics
from ui.server.sessions import Session, Sessions, Visitor

KEPT = 10


def evicted(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("dandelion_rejections_total", {"reason": "page_session"}) or 0


def test_a_visitor_is_known_by_a_signed_name_without_being_kept() -> None:
    sessions = Sessions("local", Metrics())
    name = sessions.new_name()
    assert sessions.issued(name)
    assert sessions.of(name) == Session("local")
    for other in ("", ".", name[:-1], name.partition(".")[0], Sessions("local", Metrics()).new_name(), "ü.x"):
        assert not sessions.issued(other), other


def test_what_was_chosen_is_kept_until_it_is_the_default_again() -> None:
    sessions = Sessions("local", Metrics())
    visitor = Visitor(sessions.new_name(), "a")
    sessions.choose(visitor, Session("local", "key"))
    assert sessions.of(visitor.name).key == "key"
    sessions.choose(Visitor(visitor.name, "b"), Session("http://meadow"))  # from another address
    assert sessions.of(visitor.name) == Session("http://meadow")
    sessions.choose(visitor, Session("local"))
    assert sessions.of(visitor.name) == Session("local")
    assert not sessions._sessions
    assert not sessions._visitors


def test_a_name_that_is_not_ours_keeps_nothing() -> None:
    sessions = Sessions("local", Metrics())
    sessions.choose(Visitor("made.up", "a"), Session("local", "key"))
    assert sessions.of("made.up") == Session("local")


def test_who_fills_the_sessions_evicts_only_their_own() -> None:
    metrics = Metrics()
    sessions = Sessions("local", metrics, kept=KEPT)
    honest = [Visitor(sessions.new_name(), f"honest-{number}") for number in range(3)]
    greedy = [Visitor(sessions.new_name(), "greedy") for _ in range(5 * KEPT)]
    for visitor in (*honest, *greedy):
        sessions.choose(visitor, Session("local", "key"))
    assert all(sessions.of(visitor.name).key for visitor in honest)
    assert [bool(sessions.of(visitor.name).key) for visitor in greedy].count(True) == KEPT - 3
    assert sessions.of(greedy[-1].name).key
    assert evicted(metrics) == 5 * KEPT - (KEPT - 3)


def test_a_session_shows_no_key() -> None:
    assert "secret" not in repr(Session("local", "secret"))
