"""The page's server vouches for a visitor inside its own process alone: over a socket its word is none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.appliances.operated import operated
from tests.support.web.page_visits import ask
from ui.appliance.client import Api, Refused


def test_a_page_of_its_own_makes_no_stranger_local(tmp_path: Path) -> None:
    with operated(tmp_path) as server:

        async def pin() -> None:
            api = Api.at(server.url)
            try:
                await api.for_visitor("", "", local_operator=True).pin("v1")
            finally:
                await api.close()

        with pytest.raises(Refused, match="python -m runtime key") as refused:
            asyncio.run(pin())
    assert refused.value.status == 403


def test_the_relay_passes_no_change_of_the_model_on(tmp_path: Path) -> None:
    with operated(tmp_path, "ui") as server:
        for path in ("models/pin", "models/rollback", "models/v1/load", "model/examples"):
            answer = ask("POST", f"{server.url}/ui/api/{path}", json={"version": "v1"}, headers={"origin": server.url})
            assert answer.status_code == 404, path
        assert ask("GET", f"{server.url}/ui/api/model/examples").status_code in (404, 405)
        assert ask("GET", f"{server.url}/models").json()["pinned"] is None
