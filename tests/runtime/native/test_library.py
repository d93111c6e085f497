"""Which instruction set serves: the processor's fastest, or the one that DANDELION_NATIVE names, if it is there."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys

import pytest

from runtime.errors import Refusal
from runtime.native import library as native_library
from runtime.native.layout import FASTEST, NAMES, Instructions
from runtime.native.library import Library, library
from tests.runtime.native.models import library_of, loads_prebuilt
from tests.support.suite.system_packages import needs

SLOW: tuple[Instructions, ...] = ("avx2", "sse4")  # of a host that is made up
ASK = "from runtime.native.library import library; print(library().instructions, *library().available)"
INTERPRETER = [sys.executable, "-c", ASK]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Library:
    """A host with AVX2 and SSE4.1."""
    found = library_of("reference")._replace(instructions=SLOW[0], available=SLOW)
    monkeypatch.setattr(native_library, "_load_prebuilt", lambda: found)
    monkeypatch.delenv("DANDELION_NATIVE", raising=False)
    return found


def chosen() -> Library | None:
    return library.__wrapped__()


def test_the_fastest_instructions_are_taken_where_nothing_is_said(
    host: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen() is host
    monkeypatch.setenv("DANDELION_NATIVE", "auto")
    assert chosen() is host
    assert host.choices == ("avx2", "sse4")


def test_instructions_that_are_named_are_taken_with_those_that_are_slower(
    host: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, choices in (("avx2", SLOW), ("sse4", ("sse4",)), ("reference", ("reference",))):
        monkeypatch.setenv("DANDELION_NATIVE", name)
        found = chosen()
        assert found is not None
        assert (found.instructions, found.choices) == (name, choices)


def test_the_kernel_is_off_where_that_is_said(host: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDELION_NATIVE", "off")
    assert chosen() is None


@pytest.mark.parametrize("word", ["", "AVX2", "fast", "avx2,sse4"])
def test_another_word_is_refused_with_those_that_there_are(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDELION_NATIVE", word)
    with pytest.raises(Refusal, match=rf"DANDELION_NATIVE is '{word}'; set it to auto, off, or one of reference, sse4"):
        chosen()


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"reference", *SLOW}))
def test_instructions_that_the_host_lacks_are_refused_with_what_there_is(
    host: Library, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANDELION_NATIVE", name)
    with pytest.raises(Refusal, match=f"DANDELION_NATIVE is {name}, which this host does not have; it has avx2, sse4"):
        chosen()


def test_where_there_is_no_library_onnxruntime_computes_and_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_library, "_load_prebuilt", lambda: None)
    monkeypatch.setenv("DANDELION_NATIVE", "auto")
    assert chosen() is None
    for name in ("sse4", "reference"):
        monkeypatch.setenv("DANDELION_NATIVE", name)
        with pytest.raises(Refusal, match="it has no kernel"):
            chosen()


def test_a_library_that_does_not_load_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Library:
        raise OSError("its SHA-256 is another")

    monkeypatch.setattr(native_library, "_load_prebuilt", broken)
    monkeypatch.delenv("DANDELION_NATIVE", raising=False)
    with caplog.at_level(logging.WARNING):
        assert chosen() is None
    assert "the native kernel does not load (its SHA-256 is another); onnxruntime computes" in caplog.text


def test_the_reference_is_chosen_by_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = library_of("reference")._replace(available=())
    monkeypatch.setattr(native_library, "_load_prebuilt", lambda: slow)
    monkeypatch.setenv("DANDELION_NATIVE", "auto")
    assert chosen() is None
    monkeypatch.setenv("DANDELION_NATIVE", "reference")
    found = chosen()
    assert found is not None
    assert found.instructions == "reference"
    monkeypatch.setenv("DANDELION_NATIVE", "sse4")
    with pytest.raises(Refusal, match="it has none of them"):
        chosen()


@loads_prebuilt
def test_what_this_processor_has_is_of_its_family_the_fastest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DANDELION_NATIVE", raising=False)
    found = chosen()
    assert found is not None
    assert found.instructions == found.available[0]
    assert [name for name in FASTEST[platform.machine()] if name in found.available] == list(found.available)


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize(("cpu", "told"), [("Nehalem", ["sse4", "sse4"]), ("Haswell", ["avx2", "avx2", "sse4"])])
def test_an_emulated_processor_is_given_what_it_has(cpu: str, told: list[str]) -> None:
    # What is set of OpenBLAS is for the host's processor: it would compute with instructions that are not emulated.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "DANDELION_"))
    }
    ran = subprocess.run(
        ["qemu-x86_64", "-cpu", cpu, *INTERPRETER], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == told
