"""A refusal is one line of plain text, whoever has written a part of it."""

from __future__ import annotations

import pytest

from runtime.errors import MAX_LINE, Refusal


@pytest.mark.parametrize("letter", ["\n", "\r", "\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\ud800"])
def test_what_a_terminal_or_a_log_would_obey_is_spelt_out(letter: str):
    text = str(Refusal(f"models/v2: no field {letter}[2Jlevel=INFO; export it again"))
    assert text == f"models/v2: no field {repr(letter)[1:-1]}[2Jlevel=INFO; export it again"
    assert text.isprintable()


def test_a_long_refusal_keeps_what_it_names_and_the_remedy():
    text = str(Refusal(f"models/v2: no field {'x' * 300_000}; export it again"))
    assert text.startswith("models/v2: no field xxx")
    assert text.endswith("xxx; export it again")
    assert len(text) == MAX_LINE + 3


def test_words_of_any_language_stay_as_they_are():
    text = "modèles/v2: « pissenlit » n'est pas là; 蒲公英, أسد"
    assert str(Refusal(text)) == text
