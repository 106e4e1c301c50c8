"""Every page of the real book in headless Chromium, from a server and from the file system."""

from __future__ import annotations

import functools
import gzip
import json
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pandas as pd
import pytest

from book import browser as chromium
from book.layout import Layout

pytestmark = [pytest.mark.book, pytest.mark.browser]

PAGES = ["index", *Layout().pages()]


AXE = Path(__file__).parent / "vendor" / "axe" / "axe.min.js"
# Bytes that a page may need at a first visit, compressed as static hosts do.
HEAVIEST = 1_500_000
COMPRESSED = (".html", ".css", ".js", ".svg", ".json")


class _Host(SimpleHTTPRequestHandler):
    """A quiet static host that compresses text."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.suffix not in COMPRESSED or not path.is_file():
            super().do_GET()
            return
        body = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # a page asks for dozens of files at once


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    if not chromium.is_there():
        if os.environ.get("LIPSNN_REQUIRE_BROWSER") == "1":
            pytest.fail(chromium.MISSING)
        pytest.skip(chromium.MISSING)
    driver = chromium.launch(tmp_path_factory.mktemp("chromium"), logs=True)
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["http", "file"])
def address(request: pytest.FixtureRequest, built_book: Path) -> Iterator[str]:
    """Where the book is read: a local server, or the folder itself."""
    if request.param == "file":
        yield built_book.as_uri()
        return
    handler = functools.partial(_Host, directory=str(built_book))
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_its_pictures_and_maths_without_errors(browser, address, name) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    browser.get(f"{address}/{name}.html")
    if name == "index":
        _wait(browser, "return location.pathname.endsWith('/book/intro.html')")
    _wait(browser, "return document.readyState == 'complete'")
    maths = browser.execute_script("return document.querySelectorAll('.math').length")
    _wait(browser, f"return document.querySelectorAll('mjx-container').length >= {maths}")
    assert browser.execute_script("return document.querySelectorAll('mjx-merror').length") == 0
    broken = "return [...document.images].filter(i => !(i.naturalWidth > 0)).map(i => i.src)"
    assert browser.execute_script(broken) == []
    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert errors == []
    messages = _messages(browser, address)
    assert _foreign_requests(messages, address) == []
    if address.startswith("http"):
        weight = sum(
            m["params"]["encodedDataLength"]
            for m in messages
            if m["method"] == "Network.loadingFinished"
        )
        assert 50_000 < weight < HEAVIEST


def test_maths_fonts_arrive_and_pages_have_pictures(browser, address) -> None:
    """The checks above look at something: maths in its own font, and pictures."""
    browser.get(f"{address}/book/intro.html")
    _wait(browser, "return document.querySelectorAll('mjx-container').length > 0")
    _wait(
        browser,
        "return [...document.fonts].some(f => f.family.startsWith('MJX') && f.status == 'loaded')",
    )
    assert browser.execute_script("return document.images.length") >= 4


CUT = """
return [...document.querySelectorAll('mjx-container[display="true"]')].filter(display => {
  const room = display.closest('div.math, .amsmath, p, dd, li').getBoundingClientRect();
  const drawn = display.firstElementChild.getBoundingClientRect();
  return drawn.left < room.left - 1 || drawn.right > room.right + 1;
}).map(display => display.textContent.slice(0, 60));
"""
# tables that need a scroll bar
SCROLLING = """
const box = ':is(.cell_output, .pst-scrollable-table-container)';
return [...document.querySelectorAll(`${box} table`)]
  .filter(table => table.scrollWidth > table.closest(box).clientWidth + 1)
  .map(table => table.caption?.textContent.slice(0, 60));
"""
DRAWN = """
const done = arguments[arguments.length - 1];
window.MathJax?.startup?.promise ? MathJax.startup.promise.then(done) : done();
"""


@pytest.mark.parametrize("name", PAGES[1:])
def test_page_fits_a_phone_and_pictures_have_no_card(browser, built_book, name) -> None:
    with _Screen(browser, 360):
        _open(browser, built_book, name, "light")
        browser.execute_async_script(DRAWN)
        assert browser.execute_script(CUT) == []
        for theme in ("light", "dark"):
            _dress(browser, theme)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
            cards = browser.execute_script(
                "return [...document.querySelectorAll('.bd-content img')]"
                ".map(i => getComputedStyle(i).backgroundColor)"
            )
            assert set(cards) <= {"rgba(0, 0, 0, 0)"}


@pytest.mark.parametrize("name", [*PAGES[1:], "search", "404"])
def test_page_cuts_nothing_and_has_no_serious_finding_of_axe(browser, built_book, name) -> None:
    with _Screen(browser, 1400):
        _open(browser, built_book, name, "light")
        browser.execute_async_script(DRAWN)
        assert browser.execute_script(CUT) == []
        assert browser.execute_script(SCROLLING) == []
    _open(browser, built_book, name, "light")  # its displays broken for this width
    # a closed box hides what it holds from the check, an opening one fades in
    browser.execute_script(
        "document.head.append(Object.assign(document.createElement('style'),"
        " {textContent: '* {animation: none !important; transition: none !important}'}));"
        "document.querySelectorAll('details').forEach(d => d.open = true)"
    )
    browser.execute_script(AXE.read_text(encoding="utf8"))
    # the theme changes nothing but colours
    for theme, rules in (("light", "{}"), ("dark", "{runOnly: ['color-contrast']}")):
        _dress(browser, theme)
        found = browser.execute_async_script(
            f"const done = arguments[0]; axe.run({rules}).then(r => done(r.violations))"
        )
        serious = [
            f"{v['id']}: {v['nodes'][0]['html'][:200]} ({len(v['nodes'])} times, {theme})"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == []


# pages; names of the API say themselves what they are
FOUND = "return [...document.querySelectorAll('#search-results ul.search > li:not(:has(> span))')]"
EXCERPTS = ".map(li => li.querySelector('p.context')?.textContent ?? '')"


@pytest.mark.parametrize(
    ("query", "title", "first"),
    [
        ("errata", "Errata of the sources", True),
        ("certificate", "What the certificate promises", False),
        ("BatchNorm", "Your own network", True),
        ("dropout", "Your own network", True),
        ("scikit-learn", "Your own network", False),
        ("Corollary 10", "Corollary 10: a restriction that contains the network", True),
    ],
)
def test_search_finds_pages(browser, address, query, title, first) -> None:
    browser.get_log("browser")
    browser.get(f"{address}/search.html?q={quote(query)}")
    _wait(browser, "return /finished/.test(document.querySelector('#search-results').innerText)")
    titles = browser.execute_script(f"{FOUND}.map(li => li.querySelector('a').textContent)")
    assert titles[0] == title if first else title in titles
    links = browser.execute_script(f"{FOUND}.map(li => li.querySelector('a').href)")
    assert all(link.startswith(f"{address}/book/") for link in links)
    # from a server and from the file system alike
    _wait(browser, f"{FOUND}{EXCERPTS}.every(text => text.trim().length > 20)")
    text = " ".join(browser.execute_script(f"{FOUND}{EXCERPTS}")).lower()
    assert query.split()[0].lower()[:8] in text
    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert errors == []


def test_citations_of_a_page_can_be_copied(browser, built_book) -> None:
    _open(browser, built_book, "book/executed/first-light", "light")
    browser.execute_script("document.querySelector('.cite-box').open = true")
    # what the page puts on the clipboard
    browser.execute_script(
        "document.execCommand = () => {window.copied = document.activeElement.value; return true}"
    )
    boxes = browser.find_elements("css selector", ".cite-box .highlight")
    assert len(boxes) == 3
    for box in boxes:
        button = box.find_element("css selector", "button.copybtn")
        browser.execute_script("arguments[0].click()", button)
        _wait(browser, "return window.copied")
        text = browser.execute_script("const text = window.copied; window.copied = ''; return text")
        assert text.strip() == box.find_element("css selector", "pre").text.strip()
        assert text.startswith("@")


def test_figures_move_by_keyboard_and_stand_still_without_scripts(browser, built_book) -> None:
    from selenium.webdriver.common.keys import Keys

    name = "book/executed/moving-pictures"
    _open(browser, built_book, name, "dark")
    figures = browser.find_elements("css selector", "figure.moving-figure")
    assert [f.get_attribute("data-kind") for f in figures] == ["strength", "attack", "certificate"]
    for figure in figures:
        assert figure.find_elements("css selector", "img") == []
        slider = figure.find_element("css selector", "input[type=range]")
        seen = set()
        for key in (Keys.HOME, Keys.ARROW_RIGHT, Keys.END):
            slider.send_keys(key)
            text = figure.find_element("css selector", "output").text
            assert slider.get_attribute("aria-valuetext").split() == text.split()
            drawn = browser.execute_script(
                "return [...arguments[0].querySelectorAll('svg')].map(s => s.innerHTML).join()",
                figure,
            )
            assert "NaN" not in drawn
            seen.add((text, drawn))
        assert len(seen) == 3
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((built_book / f"{name}.html").as_uri())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    stills = browser.find_elements("css selector", ".moving-still img")
    assert len(stills) == 3
    assert all(still.is_displayed() and still.size["width"] > 200 for still in stills)


def test_figures_move_by_touch(browser, built_book) -> None:
    """A finger pulls each slider from its left end to its right one, on a phone."""
    touch = functools.partial(browser.execute_cdp_cmd, "Input.dispatchTouchEvent")
    with _Screen(browser, 360):
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        try:
            _open(browser, built_book, "book/executed/moving-pictures", "light")
            for slider in browser.find_elements("css selector", "figure.moving-figure input"):
                left, right, y = _resting_track(browser, slider)
                touch({"type": "touchStart", "touchPoints": [{"x": left, "y": y}]})
                for step in range(1, 9):
                    x = left + (right - left) * step / 8
                    touch({"type": "touchMove", "touchPoints": [{"x": x, "y": y}]})
                # the browser moves the slider with its next frame, after the call has returned
                _wait(browser, "return arguments[0].value === arguments[0].max", slider)
                touch({"type": "touchEnd", "touchPoints": []})
                assert int(slider.get_attribute("value")) == int(slider.get_attribute("max")) > 0
        finally:
            browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_attack_slider_moves_over_the_committed_figure(built_book) -> None:
    text = (built_book / "book" / "executed" / "moving-pictures.html").read_text(encoding="utf8")
    figure = text[text.index('data-kind="attack"') :]
    data = json.loads(figure.partition('type="application/json">')[2].partition("</script>")[0])
    table = pd.read_csv(Layout().root / "results" / "full" / "figure1.csv")
    table = table[table["regime"] == "validated"]
    assert data["radii"] == sorted(table["radius"].unique())
    shown = {(p["dataset"], p["base"].lower()) for p in data["panels"]}
    assert shown == set(zip(table["dataset"], table["base"], strict=True))
    panel = data["panels"][0]
    one = table[(table["dataset"] == panel["dataset"]) & (table["base"] == panel["base"].lower())]
    for model, rows in panel["models"].items():
        for radius, errors in zip(data["radii"], rows, strict=True):
            drawn = one[(one["model"] == model) & (one["radius"] == radius)]["mse"]
            assert sorted(errors) == pytest.approx(sorted(drawn), rel=1e-3)


def test_intro_shows_exactly_one_picture_for_each_screen_and_theme(browser, built_book) -> None:
    seen = set()
    for width in (360, 1280):
        for theme in ("light", "dark"):
            with _Screen(browser, width):
                _open(browser, built_book, "book/intro", theme)
                visible = browser.execute_script(
                    "return [...document.querySelectorAll('.bd-article img')]"
                    ".filter(i => i.offsetWidth > 0).map(i => i.src.split('/').pop())"
                )
            assert len(visible) == 1
            assert theme in visible[0]
            seen.add(visible[0])
    assert len(seen) == 4


def test_claims_lead_to_the_sections_that_check_them(browser, built_book) -> None:
    places = json.loads((Layout().generated / "claims.json").read_text(encoding="utf8"))
    _open(browser, built_book, "book/generated/claims", "light")
    links = "return [...document.querySelectorAll('.claims-box td a')].map(a => a.href)"
    addresses = [urlsplit(link) for link in browser.execute_script(links)]
    assert [unquote(a.fragment) for a in addresses] == [f"claim-{p['id']}" for p in places]
    for page in dict.fromkeys(p["page"] for p in places):
        browser.get((built_book / f"book/executed/{page}.html").as_uri())
        for place in places:
            if place["page"] == page:
                found = "return !!document.getElementById(arguments[0])?.closest('section')"
                assert browser.execute_script(found, f"claim-{place['id']}"), place


class _Screen:
    """A screen of this width, for as long as the block lasts."""

    def __init__(self, browser, width: int) -> None:
        self.browser = browser
        self.size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}

    def __enter__(self) -> None:
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", self.size)

    def __exit__(self, *_: object) -> None:
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def _open(browser, book: Path, name: str, theme: str) -> None:
    browser.get((book / f"{name}.html").as_uri())
    _dress(browser, theme)
    _wait(browser, "return document.readyState == 'complete'")
    maths = browser.execute_script("return document.querySelectorAll('.math').length")
    _wait(browser, f"return document.querySelectorAll('mjx-container').length >= {maths}")


def _dress(browser, theme: str) -> None:
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")


def _resting_track(browser, slider) -> list[float]:
    """Both ends and the height of a slider's track, once a finger there would meet the slider.

    Figures and formulas that arrive late push the page about.
    """
    place = (
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'});"
        "const box = arguments[0].getBoundingClientRect();"
        "return [box.left + 9, box.right - 9, box.top + box.height / 2]"
    )
    met = "return document.elementFromPoint(arguments[1], arguments[2]) === arguments[0]"
    for _ in range(100):
        before = browser.execute_script(place, slider)
        browser.execute_async_script("setTimeout(arguments[0], 100)")
        after = browser.execute_script(place, slider)
        if before == after and browser.execute_script(met, slider, after[0], after[2]):
            return after
    raise AssertionError("the page does not come to rest")


def _wait(browser, script: str, *of: object) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    # half a second between looks, the default, would be most of a page's time
    wait = WebDriverWait(browser, 30, poll_frequency=0.05)
    wait.until(lambda driver: driver.execute_script(script, *of), script)


def _messages(browser, address: str) -> list[dict[str, Any]]:
    """The network log since it was last read, from the first request of the book's own on."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    for start, message in enumerate(messages):
        asks = message["method"] == "Network.requestWillBeSent"
        if asks and message["params"]["documentURL"].startswith(address):
            return messages[start:]
    raise AssertionError("the browser's log records no request at all")


def _foreign_requests(messages: list[dict[str, Any]], address: str) -> list[str]:
    """Addresses that the page asked for and that are not the book's own."""
    own = urlsplit(address)
    foreign = []
    for message in messages:
        if message["method"] != "Network.requestWillBeSent":
            continue
        url = urlsplit(message["params"]["request"]["url"])
        is_own = (url.scheme, url.netloc) == (own.scheme, own.netloc)
        if not is_own and url.scheme not in ("data", "blob", "about"):
            foreign.append(url.geturl())
    return foreign
