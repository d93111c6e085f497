"""Why a photo is refused, as the page says it."""

from __future__ import annotations

import pytest
from PIL import Image
from playwright.sync_api import expect

from runtime.image import MEDIA_TYPES
from tests.support.photos import encode, photo
from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit
from ui.view.page_context import accepted, file_types

REFUSED = {
    "en-GB": {
        "a.gif": ("Not accepted: GIF", "This kind of file (GIF) is not accepted. Send JPEG"),
        "film.mov": ("Not accepted: video", "This kind of file (video) is not accepted"),
        "giant.png": ("Too large", " 9,000 pixels, 108 megapixels; at most 64 are accepted"),
        "notes.jpg": ("Not a photo", "This file is not a photo in a format that is accepted. Send JPEG"),
        "empty.jpg": ("Empty file", "The file is empty"),
        "half.jpg": ("Broken", "The photo is damaged"),
    },
    "fr-FR": {
        "a.gif": ("Non accepté : GIF", "pas accepté. Envoyez JPEG"),
        "film.mov": ("Non accepté : vidéo", "Ce type de fichier (vidéo)"),
        "giant.png": ("Trop grande", "soit 108 mégapixels ; 64 au plus sont acceptés"),
        "notes.jpg": ("Pas une photo", "pas une photo dans un format accepté"),
        "empty.jpg": ("Fichier vide", "Le fichier est vide"),
        "half.jpg": ("Abîmée", "La photo est abîmée"),
    },
}


@pytest.mark.parametrize("language", list(REFUSED))
def test_the_appliance_s_reason_reaches_the_eye_in_the_visitor_s_language(visit: Visit, language: str):
    files = {
        "a.gif": encode(Image.new("RGB", (8, 8)), "GIF"),
        "film.mov": (24).to_bytes(4, "big") + b"ftypqt  " + bytes(40),
        "giant.png": encode(Image.new("1", (12_000, 9_000)), "PNG"),  # few bytes, many pixels
        "notes.jpg": b"These are notes.",
        "empty.jpg": b"",
        "half.jpg": photo("grass", size=(640, 480))[:3000],
    }
    page = visit(language=language).open()
    add(page, [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files.items()])
    settled(page, len(files))
    for name, (title, words) in REFUSED[language].items():
        card = page.locator(".card").filter(has=page.get_by_text(name, exact=True))
        expect(card.locator("h2")).to_have_text(title)
        expect(card.locator(".why")).to_contain_text(words)


def test_an_appliance_without_heic_says_how_to_send_such_a_photo(visit: Visit, photos: Photos):
    """As one without the extra answers; this one has it."""
    page = visit().open()
    problem = {"status_code": 415, "detail": "the photo is a HEIC, …", "code": "heic", "values": {"accepted": "JPEG"}}
    page.route("**/ui/api/explain", lambda route: route.fulfill(status=415, json=problem))
    add(page, photos(1))
    expect(page.locator(".card.refused h2")).to_have_text("HEIC photo")
    expect(page.locator(".card.refused .why")).to_contain_text("Most Compatible")


def test_a_reason_without_a_translation_is_told_as_the_appliance_says_it(visit: Visit, photos: Photos):
    page = visit(language="fr-FR").open()
    problem = {"status_code": 413, "detail": "it is full of bees; send none"}
    page.route("**/ui/api/explain", lambda route: route.fulfill(status=413, json=problem))
    add(page, photos(1))
    expect(page.locator(".card.refused .why")).to_contain_text("en anglais : It is full of bees; send none.")


def test_the_picker_takes_what_the_appliance_takes():
    assert accepted({"limits": {"media_types": ["image/jpeg", "image/png"]}}) == "image/jpeg,image/png"
    assert accepted({"limits": {"media_types": ["image/heic"]}}) == "image/heic,.heic,.heif"
    assert accepted({}) == file_types(MEDIA_TYPES)  # an older release, which does not say
