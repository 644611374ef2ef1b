"""The report in a real browser: nothing from outside, no error, readable by everyone.

Chromium comes from the system's packages (`.ci/run` installs it where it can); without
one these tests are skipped, and say so. To look at the pages by eye:
IMPS_PICTURES=results/pictures uv run pytest tests/test_report_browser.py
"""

import os
import shutil
from pathlib import Path

import pytest

from imps.report.report import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"phone": {"width": 375, "height": 800}, "desktop": {"width": 1280, "height": 900}}
ALIKE = "svg > *:nth-child(n + 30), tbody tr:nth-child(n + 5)"
"""Cells and rows after the first are made by the same lines; the checker takes minutes for all."""
LOOKS = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(fitted, case, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(fitted, path, case=case, computation=[("Seed", "1")])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Where screenshots go; IMPS_PICTURES=folder keeps them, each of the whole page."""
    kept = os.environ.get("IMPS_PICTURES")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def opened(browser, report, **options):
    """The page, the addresses it asked for, and what it complained about."""
    page = browser.new_page(**options)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    return page, asked, complaints


def test_walk_through_the_report_leaves_the_file_nowhere(browser, report):
    page, asked, complaints = opened(browser, report, viewport=SIZES["desktop"])
    links = page.locator("nav.contents a")
    assert links.count() >= 12
    for i in range(links.count()):
        links.nth(i).click()
        target = page.locator(links.nth(i).get_attribute("href"))
        assert target.is_visible()
        assert target.locator("h2").inner_text() == links.nth(i).inner_text()
    for i in range(page.locator("details").count()):
        details = page.locator("details").nth(i)
        assert not details.locator("table").first.is_visible()
        details.locator("summary").click()
        assert details.locator("table").first.is_visible()
    for i in range(page.locator("img").count()):
        image = page.locator("img").nth(i)
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
        assert len(image.get_attribute("alt")) > 40
    assert {url.split("#")[0] for url in asked if not url.startswith("data:")} == {report.as_uri()}
    assert complaints == []


@pytest.mark.parametrize("number", [0, 1], ids=["pyramid", "lexis map"])
def test_pointer_tap_and_keys_read_the_numbers_of_a_cell(browser, report, number):
    page, _, complaints = opened(browser, report, viewport=SIZES["desktop"])
    figure = page.locator("figure.look").nth(number)
    line, cells = figure.locator("output"), figure.locator(".cell")
    before = line.inner_text()
    cells.nth(25).hover()
    text = cells.nth(25).locator("title").text_content()
    assert line.inner_text() == text != before
    assert "95 % interval" in text
    page.mouse.move(0, 0)
    figure.locator("svg").press("ArrowRight")
    assert line.inner_text() != text
    figure.locator("svg").press("ArrowLeft")
    assert line.inner_text() == text
    cells.nth(3).click()
    assert line.inner_text() == cells.nth(3).locator("title").text_content()
    assert complaints == []


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=lambda look: look)
def test_every_look_fits_its_screen(browser, report, pictures, size, scheme):
    page, _, _ = opened(browser, report, viewport=SIZES[size], color_scheme=scheme)
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
    for figure in page.locator("figure").all():
        assert figure.bounding_box()["width"] <= SIZES[size]["width"]
    picture = pictures / f"{size}-{scheme}.png"
    page.screenshot(path=picture, full_page="IMPS_PICTURES" in os.environ)
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("size", SIZES)
def test_equations_break_into_lines_and_hats_stand_over_their_letters(browser, report, size):
    page, _, _ = opened(browser, report, viewport=SIZES[size])
    for equation in page.locator(".equation").all():
        assert equation.evaluate("box => box.scrollWidth - box.clientWidth") == 0
    hats = page.locator("mover:has(mo)").evaluate_all(
        "all => all.map(m => [...m.children].map(x => x.getBoundingClientRect()))"
        ".map(([x, hat]) => [(hat.left + hat.right - x.left - x.right) / 2, x.width])"
    )
    assert len(hats) > 10
    assert all(abs(aside) < 0.3 * width for aside, width in hats)


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desktop", "dark")])
def test_accessibility_checker_finds_nothing_serious(browser, report, size, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page, _, _ = opened(browser, report, viewport=SIZES[size], color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach(d => (d.open = true))")
    page.locator(ALIKE).evaluate_all("all => all.forEach(x => x.remove())")
    found = Axe().run(page).response
    assert len(found["passes"]) > 20, "the checker looked at nothing"
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert serious == [], [(v["id"], v["nodes"][0]["html"]) for v in serious]


def test_without_script_the_numbers_are_still_there(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    pyramid, in_map = 2 * 91, 2 * 4 * 10  # the map has the ages that flows of both sexes share
    assert page.locator("figure.look .cell title").count() == pyramid + in_map
    page.locator("summary").first.click()
    assert page.locator("details table").first.is_visible()
    context.close()


def test_printing_shows_everything_on_white(browser, report, tmp_path):
    page, _, _ = opened(browser, report, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav.contents").is_visible()
    page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert all(page.locator("details").evaluate_all("all => all.map(d => d.open)"))
