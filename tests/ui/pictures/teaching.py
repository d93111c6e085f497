"""`python -m tests.ui.pictures.teaching`: the way from an empty page to a served model, as rows of pictures.

A row for each width, into var/screenshots; with `readme` as its argument (`make pictures`) into this folder. The photos
are drawn: nobody's rights are touched.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from runtime.teaching.example_sets.drawn import drawn_photos
from tests.ui.app import app
from tests.ui.browser.visitor import NARROW, Visitor, launch, visitor
from tests.ui.pictures.screenshots import FOLDER, PICTURES, store_of_versions

GAP = 24
SETTLED_MS = 700
ROWS: Mapping[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "wide": ({"width": 1280, "height": 860}, ("named", "photos", "result")),
    "narrow": (NARROW, ("named", "photos", "result", "tried", "served")),
}


def photos(folder: Path) -> dict[str, list[Path]]:
    """Drawn photos in a folder for each class, and a few to try the model on."""
    files: dict[str, list[Path]] = {}
    for label, name, data in drawn_photos():
        file = folder / label / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        files.setdefault(label, []).append(file)
    return files


def steps(guest: Visitor, files: Mapping[str, list[Path]]) -> Iterator[str]:
    """Go the way; the name of each step, while it is to be seen."""
    page = guest.open("/teaching")
    fields = page.locator(".first-classes input:not([type=file])")
    for number, label in enumerate(files):
        fields.nth(number).fill(label)
    page.click("h1")
    yield "named"
    page.click(".first-classes .primary")
    for label, some in files.items():
        page.locator(".class-card", has_text=label).locator("input[type=file]").set_input_files(some)
    page.locator(".arriving, .looking").wait_for(state="detached")
    page.locator(".class-list").locator(".shelf-all").click()
    tiles = page.locator(".tile")
    tiles.first.wait_for()
    if page.viewport_size != NARROW:  # where there is room for more than one thing
        tiles.first.click()
        tiles.nth(4).click(modifiers=["Shift"])
    yield "photos"
    page.keyboard.press("Escape")
    page.click(".teach-button")
    page.locator(".teach-verdict").wait_for()
    yield "result"
    page.locator(".trial input[type=file]").set_input_files([some[0] for some in files.values()])
    page.locator(".tried .answers").last.wait_for()
    page.locator(".trial").scroll_into_view_if_needed()
    yield "tried"
    page.evaluate("scrollTo(0, 0)")
    page.click(".serve-row .primary")
    page.locator(".serve-row .thanks").wait_for()
    page.wait_for_function("() => document.querySelector('.brand').innerText.includes('gate')")
    yield "served"


def shoot(page: Page, name: str) -> Path:
    """A picture of the window, once it is still."""
    page.wait_for_timeout(SETTLED_MS)
    page.evaluate("() => Promise.all([...document.images].map((image) => image.decode().catch(() => {})))")
    file = FOLDER / f"teach-{name}.png"
    page.screenshot(path=file)
    print(file)
    return file


def film(url: str, browser: Browser, files: Mapping[str, list[Path]], width: str) -> list[Path]:
    """Pictures of one row."""
    size, shown = ROWS[width]
    with visitor(browser, url, size=size, scale=1 if width == "wide" else 1.5) as guest:
        taken = {step: shoot(guest.page, f"{width}-{step}") for step in steps(guest, files)}
    return [taken[step] for step in shown]


def in_a_row(files: list[Path], target: Path) -> None:
    """Put pictures of one height side by side."""
    images = [Image.open(file).convert("RGBA") for file in files]
    whole = Image.new("RGBA", (sum(image.width + GAP for image in images) - GAP, images[0].height))
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width + GAP
    whole.save(target, quality=80, method=6)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def main(purpose: str | None = None) -> None:
    """`purpose` is `readme`, or none."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = PICTURES if purpose == "readme" else FOLDER
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        here = Path(temporary)
        (here / "photos").mkdir()
        files = photos(here / "photos")
        browser = launch(playwright)
        for width in ROWS:
            (here / width).mkdir()
            options = ("--models", store_of_versions(here / width), "--cache", str(here / width / "cache"))
            with app(here / width, *options) as running:
                in_a_row(film(running.url, browser, files, width), target / f"teach-{width}.webp")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
