from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

import ui
from runtime.api.security.guards import Admission
from runtime.names import UNKNOWN
from runtime.serving.monitoring.metrics import REJECTIONS
from runtime.teaching.workspace.records import Kind, State
from ui.view.language import LANGUAGES, Texts, preferred, translations

FOLDER = Path(ui.__file__).parent


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_say_the_same_things():
    english, french = (translations(language) for language in LANGUAGES)
    assert english.keys() == french.keys()
    for key, text in english.items():
        assert placeholders(text) == placeholders(french[key]), key
        assert text.strip(), key
        assert french[key].strip(), key


def test_every_text_that_the_code_asks_for_is_there():
    code = "\n".join(file.read_text() for file in FOLDER.rglob("*.py"))
    asked = set(re.findall(r'text\(\s*"([a-z]+\.[a-z0-9_]+)"', code))
    assert len(asked) > 60
    assert asked <= translations("en").keys()


@pytest.mark.parametrize(
    ("script", "prefixes"),
    [
        ("classify", ["classify", "refused", "unknown"]),
        ("live", ["live", "pauses", "unknown"]),
        ("teach", ["refused", "live", "unknown", "teach"]),
        ("camera", ["live"]),
        ("compare", ["compare", "refused", "unknown"]),
        ("reasons", ["refused"]),
        ("unknown", ["unknown"]),
    ],
)
def test_every_text_that_a_script_asks_for_is_there(script: str, prefixes: list[str]):
    files = [FOLDER / "static" / f"{script}.js", *(FOLDER / "static" / script).glob("*.js")]  # and its templates
    code = "\n".join(file.read_text() for file in files)
    asked = set(re.findall(r"\bt\.([a-z_]+)", code))
    assert asked
    assert asked <= Texts("en").part(*prefixes).keys()


def test_every_change_and_state_of_teaching_is_said_in_words():
    named = {f"undo_{kind}" for kind in get_args(Kind)}
    named |= {f"run_{state}" for state in get_args(State) if state not in ("done", "cancelled")}
    named |= {f"admission_{admission}" for admission in get_args(Admission) if admission != "allowed"}
    named |= {f"example_{name}{part}" for name in ("drawn", "public") for part in ("", "_note")}
    assert {f"teach.{name}" for name in named} <= translations("en").keys()


def test_every_reason_of_the_appliance_is_said_in_words():
    assert {f"reason.{reason}" for reason in REJECTIONS} <= translations("en").keys()
    [codes] = re.findall(r"^The codes are (.*)\.$", (FOLDER.parent / "docs" / "api.md").read_text(), re.MULTILINE)
    assert {f"refused.reason_{code}" for code in re.findall("`([a-z_]+)`", codes)} <= translations("en").keys()


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "fr-CA,en;q=0.8", "fr"),
        (None, "de,fr;q=0.5,en;q=0.7", "en"),
        (None, "fr;q=0, en", "en"),
        (None, "fr;q=nonsense", "en"),
        ("fr", "en", "fr"),
        ("xx", "fr", "fr"),
    ],
)
def test_the_visitor_s_language_is_found(cookie: str | None, accepted: str, language: str):
    assert preferred(cookie, accepted) == language


def test_numbers_are_written_as_the_language_does():
    assert Texts("en").number(1234.5, 1) == "1,234.5"
    assert Texts("fr").number(1234.5, 1) == "1\N{NARROW NO-BREAK SPACE}234,5"
    assert Texts("en").percent(0.965) == "96.5%"
    assert Texts("fr").duration(90) == "1,5 min"


def test_the_scripts_call_the_unknown_class_as_the_appliance_does():
    assert f'export const UNKNOWN = "{UNKNOWN}"' in (FOLDER / "static" / "unknown.js").read_text()
    assert Texts("en").label(UNKNOWN) == "None of these"
    assert Texts("fr", {"grass": "Herbe"}).label(UNKNOWN) == "Rien de tout cela"
