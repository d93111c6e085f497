"""How the workers of pytest share the tests: what comes first, what waits, and what one worker does alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.suite.groups import BY_PAGE, PAGES, SLOW, TESTS, rank, scope_of
from tests.support.suite.turns import containers_come_and_go, wait_for_containers


def test_a_browser_waits_until_the_containers_have_ended(tmp_path: Path) -> None:
    ended = list[str]()
    with ThreadPoolExecutor(1) as other:
        with containers_come_and_go(tmp_path):
            waiting = other.submit(lambda: (wait_for_containers(tmp_path), ended.append("browser")))
            assert not waiting.done()
            ended.append("containers")
        waiting.result()
    assert ended == ["containers", "browser"]
    wait_for_containers(tmp_path)


def test_every_module_that_is_begun_early_is_there() -> None:
    assert [file for file in SLOW if not (TESTS / file).is_file()] == []


def test_modules_with_containers_come_first_and_those_with_a_browser_for_any_worker_last() -> None:
    containers, slow, page = TESTS / "deploy/images/test_image.py", TESTS / SLOW[0], BY_PAGE / "test_looks.py"
    other = TESTS / "test_documents.py"
    order = [containers, PAGES / "test_monitor.py", slow, other, page]
    ranks = [rank(file) for file in order]
    assert ranks == sorted(set(ranks))


def test_the_pages_of_teaching_are_shared_by_all_workers_and_the_other_browsers_wait_in_one() -> None:
    scopes = [
        scope_of(f"tests/{module}::test")
        for module in (
            *("deploy/images/test_image.py", "ui/browser/pages/test_live.py"),
            *("ui/browser/teach/test_looks.py", "ui/browser/teach/test_inbox.py"),
        )
    ]
    assert scopes[0] == scopes[1]
    assert len(set(scopes)) == 3
