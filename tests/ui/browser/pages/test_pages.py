from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from runtime.host.cores import inference_cores
from runtime.host.cpu import available_cpus
from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.support.models.bundles import write_bundle
from tests.ui.app import App, app
from tests.ui.browser.classify.test_classify import Photos, add, settled
from tests.ui.browser.conftest import Visit
from tests.ui.browser.visitor import NARROW, PATHS, WIDE, until
from ui.appliance.threads import counts

KEY = "an-operator-s-key"
RUN = "4f1c2a9be07d4d0f8a35c0de20261123"
MLFLOW = "http://mlflow.example:5000"


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An appliance that follows a store of two versions, the second of which serves."""
    folder = tmp_path_factory.mktemp("operated")
    store = open_store(str(folder / "store"))
    for name in ("v1", "v2"):
        publish(write_bundle(folder / name, mlflow_run=RUN), store, tag=Catalogue(store).tag())
    entry = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    arguments = ("--models", str(folder / "store"), "--cache", str(folder / "cache"), "--admin-keys", entry)
    arguments += ("--mlflow", MLFLOW)
    with app(folder, *arguments, DANDELION_POLL_S="0.5") as running:
        yield running


STAYS_S = 20  # what is a barrier for so long is no passing look
STILL = """() => document.getAnimations().every(
    (moving) => moving.playState !== "running" || moving.effect.getTiming().iterations === Infinity
)"""


def serious(page: Page) -> list[str]:
    """The serious barriers that stay: half-faded text has too little contrast, and more may appear while we look."""
    deadline = time.monotonic() + STAYS_S
    while (found := serious_now(page)) and time.monotonic() < deadline:
        pass
    return found


def serious_now(page: Page) -> list[str]:
    page.wait_for_timeout(300)
    page.wait_for_function(STILL)
    found = Axe().run(page).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {[node['html'][:160] for node in violation['nodes']][:3]}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_no_page_has_a_serious_barrier(visit: Visit, photos: Photos, size: dict[str, int], dark: bool, language: str):
    guest = visit(size=size, dark=dark, language=language)
    for path in PATHS:
        page = guest.open(path)
        expect(page.locator("h1")).to_be_visible()
        assert serious(page) == [], path
        assert overflow(page) <= 0, path
    page = guest.open("/")
    add(page, photos(3))
    settled(page, 3)
    assert serious(page) == []
    page.locator(".segments button").nth(1).click()
    assert serious(page) == []
    page.locator("tbody .link").first.click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.locator(".state").click()
    assert serious(page) == []


def test_every_page_is_reached_by_keyboard(visit: Visit):
    page = visit().open()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the page")
    for name in ("Classify", "Live", "Teach", "Monitor", "Models", "Benchmark"):
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text(name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Benchmark")
    expect(page).to_have_title("Benchmark · Colours")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Benchmark")


def test_the_look_follows_the_system_and_is_switched(visit: Visit):
    page = visit(dark=True).open()
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Light or dark").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light


# In the page itself: what the browser tells of its requests may come late, and in another order.
COUNTING = """
  const ask = window.fetch;
  let underWay = 0;
  window.most = 0;
  window.fetch = async (address, options) => {
    if (!String(address).includes("/ui/api/")) return ask(address, options);
    window.most = Math.max(window.most, ++underWay);
    try {
      return await ask(address, options);
    } finally {
      underWay -= 1;
    }
  };
"""


def test_the_camera_is_classified_one_frame_at_a_time(visit: Visit):
    guest = visit()
    guest.page.add_init_script(COUNTING)
    page = guest.open("/live")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator(".verdict")).to_contain_text("%")
    expect(page.locator(".rate").first).not_to_have_text("0 frames a second")
    painted = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 === 3 && v > 50)"
    assert page.locator(".viewfinder canvas").evaluate(painted), "no heat is drawn"
    page.get_by_label("Heat map").fill("0")
    expect(page.locator(".viewfinder canvas")).to_have_css("opacity", "0")
    page.wait_for_timeout(1500)
    assert serious(page) == []
    assert classified(guest.url, "measurement") > 0
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()
    assert page.evaluate("most") == 1


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("navigator.mediaDevices.enumerateDevices = async () => []", "no camera that the browser can find"),
        ("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })", "over https or on localhost"),
        ("navigator.permissions.query = async () => ({ state: 'denied' })", "no permission for the camera"),
    ],
    ids=["none", "insecure", "denied"],
)
def test_without_a_camera_the_page_says_so_at_once_above_the_fold(
    visit: Visit, size: dict[str, int], script: str, words: str
):
    guest = visit(size=size)
    guest.page.add_init_script(script)
    page = guest.open("/live")
    said = page.get_by_role("alert").filter(has_text=words)
    expect(said).to_be_visible()
    box = said.bounding_box()
    assert box
    assert box["y"] + box["height"] < size["height"]
    expect(page.get_by_role("button", name="Start the camera")).to_have_count(0)
    page.get_by_role("link", name="Classify photos instead").click()
    expect(page.locator("input[multiple]")).to_be_attached()


def test_a_slow_host_has_one_frame_of_the_camera_and_never_a_line_of_them(visit: Visit):
    page = visit().open("/live")
    asked: list[Route] = []

    def hold(route: Route) -> None:  # answered when the test says so
        asked.append(route)

    page.route("**/ui/api/explain", hold)
    page.get_by_role("button", name="Start the camera").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    until(page, lambda: asked)
    page.wait_for_timeout(1500)
    assert len(asked) == 1
    asked[0].continue_()
    expect(page.locator(".verdict")).to_contain_text("%")
    until(page, lambda: len(asked) == 2)
    page.unroute("**/ui/api/explain")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An appliance that has seen too few photos to speak of drift."""
    folder = tmp_path_factory.mktemp("fresh")
    with app(folder, "--bundle", str(write_bundle(folder / "v7"))) as running:
        yield running


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_monitor_shows_how_the_appliance_is_by_itself(
    visit: Visit, photos: Photos, fresh: App, size: dict[str, int]
):
    guest = visit(fresh.url, size=size)
    page = guest.open("/")
    add(page, photos(5))
    settled(page, 5)
    page.get_by_role("link", name="Monitor").click()
    for panel, words in (
        ("serving", ["colours", "v7", "INT8", "fast"]),
        ("requests", ["a second", "being answered", "waiting", "1 min ago", "30 s ago", "now"]),
        (
            "latency",
            ["p50", "p95", "p99", "half under", "receive it", "wait its turn", "open it", "model", "in all", "ms"],
        ),
        ("mix", ["Dandelion", "%", "uncertain"]),
        ("confidence", ["on average", "100%"]),
        ("drift", ["Too few photos to say", "Data drift"]),
        ("machine", ["MiB", "memory", "cores busy", "0 MiB", "now"]),
        ("rejections", ["turned away"]),
    ):
        for each in words:
            expect(page.locator(f".panel-{panel}")).to_contain_text(each)
    for chart in (".panel-availability .strip .up", ".panel-machine .line-chart .line"):
        expect(page.locator(chart).first).to_be_attached()
    looks = page.locator(".panel-availability")
    before = looks.inner_text()
    expect(looks).not_to_have_text(before)  # by itself
    assert serious(page) == []
    assert overflow(page) <= 0


def test_each_version_is_shown_with_its_figures_and_its_run(visit: Visit, operated: App):
    page = visit(operated.url).open("/versions")
    card = page.get_by_role("article", name="v2")
    shown = [
        ("Accuracy", "100.0%"),
        ("F1", "100.0%"),
        ("Lost by quantisation (INT8)", "0.0 points"),
        ("INT8 agrees with FP32", "100.0%"),
        ("Size", "MB"),
        ("Dataset", "0" * 12),
        ("Created", "2026-01-01 00:00"),
        ("MLflow", RUN[:12]),
    ]
    for name, value in shown:
        expect(card.locator("dl div").filter(has=page.get_by_text(name, exact=True))).to_contain_text(value)
    expect(card.get_by_role("link")).to_have_attribute("href", f"{MLFLOW}/#/runs/{RUN}")
    expect(card.locator(".badge").first).to_have_text("active")


def test_versions_are_loaded_pinned_and_rolled_back_with_the_key_only(visit: Visit, operated: App):
    page = visit(operated.url).open("/versions")
    serving = page.locator(".version.serving h2")
    expect(serving).to_have_text("v2")
    expect(page.locator(".admission")).to_contain_text("Changing the model needs an admin key")
    expect(page.get_by_role("button", name="Pin v1")).to_have_count(0)
    page.locator(".state").click()
    page.get_by_label("API key", exact=True).fill(KEY)
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("button", name="Pin v1").click()
    expect(serving).to_have_text("v1")
    expect(page.locator(".version.serving .badge")).to_contain_text(["active", "pinned"])
    page.get_by_role("button", name="Follow the store again").click()
    expect(page.locator("main .note")).to_contain_text("followed again")
    page.get_by_role("button", name="Activate v1").or_(page.get_by_role("button", name="Activate v2")).first.click()
    expect(page.locator("main .note")).to_contain_text("is active until")
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator("main .note")).to_contain_text("active again, and pinned")


def test_two_versions_are_asked_about_the_same_photo(visit: Visit, operated: App, photos: Photos):
    page = visit(operated.url).open("/versions")
    page.locator(".compare input[type=file]").set_input_files(photos(1))
    sides = page.locator(".side")
    expect(sides).to_have_count(2)
    for side in (sides.first, sides.nth(1)):
        expect(side.locator("h3")).to_have_text("Dandelion")
        expect(side).to_contain_text("ms")
    page.get_by_label("First").select_option("v1")
    page.get_by_label("Second").select_option("v2")
    expect(sides.nth(0).locator("h3")).to_have_text("Dandelion")
    expect(sides.nth(1).locator("h3")).to_have_text("Dandelion")
    assert serious(page) == []


def test_the_benchmark_ends_with_a_verdict_and_a_file(visit: Visit):
    page = visit(language="fr-FR", size=NARROW).open("/benchmark")
    page.get_by_role("button", name="Mesurer").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator(".verdict-big")).to_contain_text("photos par seconde", timeout=120_000)
    expect(page.locator(".columns .column")).to_have_count(4)
    expect(page.locator(".panel-latency")).to_contain_text("12 mégapixels")
    expect(page.locator(".panel-threads")).to_contain_text("1 thread")
    assert serious(page) == []
    assert overflow(page) <= 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Télécharger JSON").click()
    report = json.loads(Path(download.value.path()).read_text())
    assert report["version"] == "v7"
    assert [step["at_once"] for step in report["throughput"]] == [1, 2, 4, 8]
    assert all(stage["infer_ms"] > 0 for stage in report["stages"])
    assert [each["threads"] for each in report["threads"]] == counts(available_cpus(), inference_cores().threads)
    with page.expect_download() as download:
        page.get_by_role("button", name="Télécharger CSV").click()
    assert "infer_1_threads" in Path(download.value.path()).read_text()
    page.reload()
    expect(page.locator(".verdict-big")).to_contain_text("photos par seconde")
    expect(page.locator(".verdict-panel")).to_contain_text("Dernière mesure")
    expect(page.get_by_role("button", name="Mesurer de nouveau")).to_be_enabled()


def test_a_benchmark_raises_no_alarm_of_drift(visit: Visit, fresh: App):
    page = visit(fresh.url).open("/benchmark")
    before = classified(fresh.url, "use")
    page.get_by_role("button", name="Measure").click()
    expect(page.locator(".verdict-big")).to_contain_text("photos a second", timeout=120_000)
    assert classified(fresh.url, "use") == before
    page.get_by_role("link", name="Monitor").click()
    expect(page.locator(".panel-drift")).to_contain_text("Too few photos to say")


def classified(url: str, traffic: str) -> float:
    """The photos so far of one kind of traffic."""
    text = httpx.get(url + "/metrics").text
    return sum(map(float, re.findall(rf'dandelion_predictions_total{{.*traffic="{traffic}".*}} ([0-9.]+)', text)))


def test_nothing_of_the_page_shadows_the_api(running: App, browser: Browser):
    with httpx.Client(base_url=running.url) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/model").json()["manifest"]["version"] == "v7"
        assert client.get("/models").json()["serving"] == "v7"
        assert "dandelion_requests_total" in client.get("/metrics").text
        assert client.get("/docs").status_code == 200
        assert "text/html" in client.get("/").headers["content-type"]
