"""`python -m tests.ui.pictures.screenshots`: each page, both looks, wide and narrow, into var/screenshots.

With `readme` as its argument (`make pictures`) it makes the pictures of README and docs/operations.md, and no others:
of drawn meadows, which they may show.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import httpx
import msgspec
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import MANIFEST, Bundle, to_json
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.ui.app import app
from tests.ui.browser.visitor import NARROW, WIDE, Visitor, launch, visitor
from tests.ui.pictures.meadow import meadow

FOLDER = Path("var/screenshots")
MONITORED_S = 20.0
GAP = 24
MIDDLE = {"width": 800, "height": 900}
PICTURES = Path(__file__).parent
VERSIONS = ("20261005-7c1e09d2", "20261026-e4b81f37", "20261123-c5a7eaa3")


def photos(folder: Path | None) -> list[Path]:
    """A dozen photos: of `folder`, or drawn ones."""
    if folder:
        return [file for label in ("dandelion", "grass") for file in sorted((folder / label).iterdir())[3:9]]
    made = Path(tempfile.mkdtemp())
    for seed, flowers in enumerate((1, 3, 0, 2, 1, 0, 3, 1, 2, 0, 1)):
        meadow(seed, flowers=flowers).save(made / f"meadow-{seed:02}.jpg", quality=88)
    return sorted(made.iterdir())


def store_of_versions(folder: Path) -> str:
    """A store whose newest version is the default bundle; the older ones are the same files under other names."""
    store = open_store(str(folder / "store"))
    default = Bundle.open(default_bundle())
    for version in VERSIONS:
        here = folder / version
        here.mkdir()
        for name in default.manifest.files:
            (here / name).write_bytes((default.path / name).read_bytes())
        run = "4f1c2a9be07d4d0f8a35" + version[-8:] + "c0de"
        created = f"{version[:4]}-{version[4:6]}-{version[6:8]}T08:12:00+00:00"
        manifest = msgspec.structs.replace(default.manifest, version=version, created=created, mlflow_run=run)
        (here / MANIFEST).write_bytes(to_json(manifest))
        publish(here, store, tag=Catalogue(store).tag())
    return str(folder / "store")


def shoot(guest: Visitor, name: str, *, full: bool = True) -> None:
    guest.page.wait_for_timeout(700)
    guest.page.evaluate("() => Promise.all([...document.images].map((image) => image.decode().catch(() => {})))")
    guest.page.screenshot(path=FOLDER / f"{name}.png", full_page=full)
    print(FOLDER / f"{name}.png")


def traffic(url: str, files: list[Path], seconds: float) -> None:
    """What a Monitor page is there to show."""
    until = time.monotonic() + seconds
    with httpx.Client(base_url=url) as client:
        while time.monotonic() < until:
            for file in files:
                client.post("/predict", content=file.read_bytes(), headers={"content-type": "image/jpeg"})
                time.sleep(0.05 + 0.2 * abs(math.sin(time.monotonic() / 4)))


class Scenes:
    """What is to be seen; each leaves the page ready for its picture."""

    def __init__(self, files: list[Path], broken: Path) -> None:
        self._files = files
        self._broken = broken

    def empty(self, guest: Visitor) -> None:
        guest.open("/")

    def one(self, guest: Visitor) -> None:
        guest.open("/")
        _add(guest, self._files[:1])

    def many(self, guest: Visitor) -> None:
        guest.open("/")
        _add(guest, [*self._files, self._broken])

    def table(self, guest: Visitor) -> None:
        self.many(guest)
        guest.page.click(".segments button:nth-child(2)")

    def viewer(self, guest: Visitor) -> None:
        self.many(guest)
        guest.page.click(".card.done .picture")

    def live_idle(self, guest: Visitor) -> None:
        guest.open("/live")

    def live(self, guest: Visitor) -> None:
        guest.open("/live")
        guest.page.click(".invite button")
        guest.page.wait_for_selector(".verdict")

    def monitor(self, guest: Visitor) -> None:
        guest.open("/monitor")
        traffic(guest.url, self._files, MONITORED_S)

    def models(self, guest: Visitor) -> None:
        guest.open("/versions")
        guest.page.set_input_files(".compare input[type=file]", self._files[0])
        guest.page.wait_for_selector(".side")

    def benchmark(self, guest: Visitor) -> None:
        guest.open("/benchmark")
        if not guest.page.locator(".verdict-big").count():  # the last result is kept
            guest.page.click("#main button.primary")
        guest.page.wait_for_selector(".verdict-big", timeout=90_000)

    def connection(self, guest: Visitor) -> None:
        guest.open("/")
        guest.page.click(".state")


SIZES = {"wide": WIDE, "middle": MIDDLE, "narrow": NARROW}
# Each picture of the documents: a wide screenshot and a narrow one.
DOCUMENTS = {
    "classify.webp": ("many-wide-light", "viewer-narrow-dark"),
    "monitor.webp": ("monitor-wide-dark", "benchmark-narrow-light"),
}
NAMES = ("empty", "one", "many", "table", "viewer", "live_idle", "live", "monitor", "models", "benchmark", "connection")


def _add(guest: Visitor, some: list[Path]) -> None:
    guest.page.set_input_files("input[multiple]", some)
    guest.page.wait_for_function("() => !document.querySelector('.card.waiting, .card.sending')")


def side_by_side(wide: str, narrow: str, file: Path) -> None:
    """A wide picture and a narrow one of the same height, small enough for a README."""
    left, right = (Image.open(FOLDER / f"{name}.png").convert("RGB") for name in (wide, narrow))
    left = left.crop((0, 0, left.width, min(left.height, WIDE["height"])))
    right = right.crop((0, 0, right.width, min(right.height, NARROW["height"])))
    right = right.resize((round(right.width * left.height / right.height), left.height), Image.Resampling.LANCZOS)
    whole = Image.new("RGBA", (left.width + GAP + right.width, left.height))
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width + GAP, 0))
    file.parent.mkdir(exist_ok=True)
    whole.save(file, quality=80, method=6)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


def shoot_all(url: str, browser: Browser, scenes: Scenes, only: set[str] | None) -> None:
    for name, (size_name, size), dark in product(NAMES, SIZES.items(), (False, True)):
        picture = f"{name}-{size_name}-{'dark' if dark else 'light'}"
        if only is None or picture in only:
            with visitor(browser, url, size=size, dark=dark) as guest:
                getattr(scenes, name)(guest)
                # A window's picture, not the whole page's, where something lies over it or sticks to it.
                shoot(guest, picture, full=name not in ("viewer", "connection") and size is not NARROW)


def main(source: str | None = None) -> None:
    """`source` is a folder of photos, or `readme`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    of_documents = source == "readme"
    files = photos(Path(source) if source and not of_documents else None)
    broken = Path(tempfile.mkdtemp()) / "notes.jpg"
    broken.write_text("no photo at all")
    only = {name for pair in DOCUMENTS.values() for name in pair} if of_documents else None
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        here = Path(temporary)
        options = ("--models", store_of_versions(here), "--cache", str(here / "cache"), "--data", str(here / "data"))
        with app(here, *options, "--mlflow", "http://localhost:5000") as running:
            browser = launch(playwright)
            shoot_all(running.url, browser, Scenes(files, broken), only)
            browser.close()
    if of_documents:
        for name, (wide, narrow) in DOCUMENTS.items():
            side_by_side(wide, narrow, PICTURES / name)


if __name__ == "__main__":
    main(*sys.argv[1:])
