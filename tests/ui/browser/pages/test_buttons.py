"""The words of every button lie within it, with its padding around them, on a small phone in each language."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.ui.app import App
from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit
from tests.ui.browser.pages.test_pages import KEY, operated
from tests.ui.browser.visitor import PATHS

__all__ = ["operated"]

PHONE = {"width": 360, "height": 800}

# Of each button that is seen: its words, if they are wider than it, or begin or end in its padding.
TIGHT = """() => {
  const found = [];
  const side = (style, name) => parseFloat(style[`padding${name}`]) + parseFloat(style[`border${name}Width`]);
  for (const button of document.querySelectorAll("button, .button")) {
    const spoken = [];
    const texts = document.createTreeWalker(button, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const words = document.createRange();
      words.selectNodeContents(texts.currentNode);
      if (!texts.currentNode.parentElement.closest(".unseen")) spoken.push(...words.getClientRects());
    }
    if (!button.checkVisibility() || !spoken.length) continue;
    const box = button.getBoundingClientRect();
    const style = getComputedStyle(button);
    const left = Math.min(...spoken.map((each) => each.left)) - box.left - side(style, "Left");
    const right = box.right - Math.max(...spoken.map((each) => each.right)) - side(style, "Right");
    if (button.scrollWidth > button.clientWidth || left < -0.5 || right < -0.5)
      found.push(`${button.innerText.trim()}: ${button.scrollWidth} of ${button.clientWidth} px, ${left}, ${right}`);
  }
  return found;
}"""


def tight(page: Page) -> list[str]:
    page.evaluate("document.fonts.ready")
    assert page.locator("button, .button").count() > 1
    found: list[str] = page.evaluate(TIGHT)
    return found


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_the_words_of_a_button_keep_its_padding(visit: Visit, photos: Photos, language: str) -> None:
    guest = visit(size=PHONE, language=language)
    for path in PATHS:
        page = guest.open(path)
        expect(page.locator("h1")).to_be_visible()
        assert tight(page) == [], path
    page = guest.open("/")
    add(page, photos(3))
    settled(page, 3)
    assert tight(page) == []
    page.locator(".card .link.quiet").first.click()  # the large view, with the correction
    expect(page.locator("dialog.viewer .frame img")).to_be_visible()
    assert tight(page) == []


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
def test_the_words_of_an_operator_s_buttons_keep_their_padding(visit: Visit, operated: App, language: str) -> None:
    page = visit(operated.url, size=PHONE, language=language).open("/versions")
    page.locator(".state").click()
    expect(page.locator("dialog .button").first).to_be_visible()
    assert tight(page) == []
    page.locator("dialog input[type=password]").fill(KEY)
    page.locator("dialog .button.primary").click()
    expect(page.get_by_role("article", name="v1").locator(".button").first).to_be_visible()
    assert tight(page) == []


@pytest.mark.parametrize(("width", "is_tight"), [(300, False), (134, True)])
def test_a_button_that_is_too_narrow_is_found(visit: Visit, width: int, is_tight: bool) -> None:
    page = visit(size=PHONE, language="fr-FR").open("/")
    changed = f"flex: none; min-width: 0; width: {width}px"
    page.locator(".desk .button").first.evaluate("(button, style) => { button.style = style; }", changed)
    assert bool(tight(page)) == is_tight
