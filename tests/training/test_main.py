from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from training.__main__ import main


@pytest.mark.parametrize("command", ["fit", "evaluate"])
@pytest.mark.parametrize(
    ("size", "message"),
    [("100", "100 is not a multiple of 32 from 32 to 512, or auto"), ("16", "16"), ("large", "large")],
)
def test_an_image_size_that_does_not_fit_the_network_is_refused_by_name(command: str, size: str, message: str) -> None:
    done = CliRunner().invoke(main, [command, "--data", "nowhere"], env={"IMAGE_SIZE": size})
    assert done.exit_code == 2
    assert "IMAGE_SIZE" in done.output
    assert message in done.output


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, kept: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    CliRunner().invoke(main, ["prepare", "--raw", "nowhere"])
    assert os.environ["OMP_WAIT_POLICY"] == kept
