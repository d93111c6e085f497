"""Every page at every width from a small phone to a wide window: nothing sticks out, nothing lies over another."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit
from tests.ui.browser.visitor import PATHS

WIDTHS = (320, 360, 390, 480, 600, 700, 760, 761, 768, 800, 820, 852, 900, 901, 960, 1020, 1021, 1100, 1280)

GROUPS = (
    ".top > *:not(nav)",
    "nav.pages a",
    ".tools > *",
    ".toolbar > *",
    ".desk .actions > *",
    ".panels > *",
    ".helps > *",
    ".brand, .tools, nav.pages",
)
# Of each group of what stands side by side: the boxes that overlap, or leave the window.
CLASHES = """(groups) => {
  const found = [];
  const meet = (one, other, low, high) => Math.min(one[high], other[high]) - Math.max(one[low], other[low]) > 1;
  for (const group of groups) {
    const seen = [...document.querySelectorAll(group)].filter((element) => element.checkVisibility());
    const boxes = seen.map((element) => element.getBoundingClientRect()).filter((box) => box.width > 1);
    boxes.forEach((box, place) => {
      if (box.left < -0.5 || box.right > innerWidth + 0.5) found.push(`${group} ${place} is outside`);
      const over = (other) => meet(box, other, "left", "right") && meet(box, other, "top", "bottom");
      if (boxes.slice(place + 1).some(over)) found.push(`${group} ${place} lies over another`);
    });
  }
  const right = (element) => element.getBoundingClientRect().right;
  const wide = [...document.querySelectorAll("#main *")].filter((element) => right(element) > innerWidth + 1);
  const classes = wide.map((element) => element.className);
  if (document.documentElement.scrollWidth > innerWidth) found.push(`too wide: ${classes}`);
  return found;
}"""


def clashes(page: Page) -> dict[int, list[str]]:
    """What sticks out or overlaps, by the width at which it does."""
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if some := page.evaluate(CLASHES, GROUPS):
            found[width] = some
    return found


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_nothing_overlaps_or_sticks_out_at_any_width(visit: Visit, photos: Photos, language: str):
    guest = visit(language=language)
    for path in PATHS:
        page = guest.open(path)
        expect(page.locator("h1")).to_be_visible()
        page.evaluate("document.fonts.ready")
        assert clashes(page) == {}, path
    page = guest.open("/")
    add(page, photos(3))
    settled(page, 3)
    assert clashes(page) == {}
