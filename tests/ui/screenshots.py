"""`python -m tests.ui.screenshots`: each page, both looks, wide and narrow, into var/screenshots."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.photos import photo
from tests.ui.pages import NARROW, WIDE, Visitor, app, launch, visitor

FOLDER = Path("var/screenshots")


def photos(folder: Path | None) -> list[Path]:
    """A dozen photos: of `folder`, or drawn ones."""
    if folder:
        return [file for label in ("dandelion", "grass") for file in sorted((folder / label).iterdir())[3:9]]
    made = Path(tempfile.mkdtemp())
    for seed in range(12):
        (made / f"meadow-{seed:02}.jpg").write_bytes(photo(("dandelion", "grass")[seed % 2], seed, size=(640, 480)))
    return sorted(made.iterdir())


def shoot(guest: Visitor, name: str, *, full: bool = True) -> None:
    guest.page.wait_for_timeout(700)
    guest.page.screenshot(path=FOLDER / f"{name}.png", full_page=full)
    print(FOLDER / f"{name}.png")


def scenes(files: list[Path], broken: list[Path]) -> dict[str, Callable[[Visitor], None]]:
    """What is to be seen, by name; each leaves the page ready for its picture."""

    def add(guest: Visitor, some: list[Path]) -> None:
        guest.page.set_input_files("input[multiple]", some)
        guest.page.wait_for_function("() => !document.querySelector('.card.waiting, .card.sending')")

    def one(guest: Visitor) -> None:
        guest.open("/")
        add(guest, files[:1])

    def many(guest: Visitor) -> None:
        guest.open("/")
        add(guest, [*broken, *files])

    def table(guest: Visitor) -> None:
        many(guest)
        guest.page.click(".segments button:nth-child(2)")

    def viewer(guest: Visitor) -> None:
        many(guest)
        guest.page.click(".card.done .picture")

    def live(guest: Visitor) -> None:
        guest.open("/live")
        guest.page.click(".invite button")
        guest.page.wait_for_selector(".verdict")

    def monitor(guest: Visitor) -> None:
        guest.open("/monitor")
        guest.page.wait_for_timeout(8000)

    def benchmark(guest: Visitor) -> None:
        guest.open("/benchmark")
        guest.page.click("#main button.primary")
        guest.page.wait_for_selector(".verdict-big", timeout=90_000)

    def connection(guest: Visitor) -> None:
        guest.open("/")
        guest.page.click(".state")

    return {
        "empty": lambda guest: guest.open("/"),
        "one": one,
        "many": many,
        "table": table,
        "viewer": viewer,
        "live-idle": lambda guest: guest.open("/live"),
        "live": live,
        "monitor": monitor,
        "models": lambda guest: guest.open("/versions"),
        "benchmark": benchmark,
        "connection": connection,
    }


def main(folder: str | None = None, only: str = "") -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = photos(Path(folder) if folder else None)
    broken = [Path(tempfile.mkdtemp()) / "notes.jpg"]
    broken[0].write_text("no photo at all")
    with tempfile.TemporaryDirectory() as logs, app(Path(logs)) as running, sync_playwright() as playwright:
        browser = launch(playwright)
        for name, scene in scenes(files, broken).items():
            if only and name not in only.split(","):
                continue
            for size_name, size in (("wide", WIDE), ("narrow", NARROW)):
                for dark in (False, True):
                    with visitor(browser, running.url, size=size, dark=dark) as guest:
                        scene(guest)
                        overlay = name in ("viewer", "connection")
                        shoot(guest, f"{name}-{size_name}-{'dark' if dark else 'light'}", full=not overlay)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
