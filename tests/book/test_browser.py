"""Every page of the real book in headless Chromium, from a server and from the file system."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from book.layout import Layout

pytestmark = [pytest.mark.book, pytest.mark.browser, pytest.mark.xdist_group("book")]

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
PAGES = ["index", *Layout().pages()]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    if not (CHROMIUM.exists() and DRIVER.exists()):
        reason = f"{CHROMIUM} and {DRIVER} are needed (Debian: chromium, chromium-driver)"
        if os.environ.get("LIPSNN_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=["http", "file"])
def address(request: pytest.FixtureRequest, built_book: Path) -> Iterator[str]:
    """Where the book is read: a local server, or the folder itself."""
    if request.param == "file":
        yield built_book.as_uri()
        return
    handler = functools.partial(_Quiet, directory=str(built_book))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_its_pictures_and_maths_without_errors(browser, address, name) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
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
    assert _foreign_requests(browser, address) == []


def test_maths_fonts_arrive_and_pages_have_pictures(browser, address) -> None:
    """The checks above look at something: maths in its own font, and pictures."""
    browser.get(f"{address}/book/intro.html")
    _wait(browser, "return document.querySelectorAll('mjx-container').length > 0")
    _wait(
        browser,
        "return [...document.fonts].some(f => f.family.startsWith('MJX') && f.status == 'loaded')",
    )
    assert browser.execute_script("return document.images.length") >= 4


@pytest.mark.parametrize("name", PAGES[1:])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_fits_a_phone_and_pictures_have_no_card(browser, built_book, name, theme) -> None:
    with _Screen(browser, 360):
        _open(browser, built_book, name, theme)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        cards = browser.execute_script(
            "return [...document.querySelectorAll('.bd-content img')]"
            ".map(i => getComputedStyle(i).backgroundColor)"
        )
        assert set(cards) <= {"rgba(0, 0, 0, 0)"}


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
    _open(browser, built_book, "book/intro", "light")
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
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    _wait(browser, "return document.readyState == 'complete'")
    maths = browser.execute_script("return document.querySelectorAll('.math').length")
    _wait(browser, f"return document.querySelectorAll('mjx-container').length >= {maths}")


def _wait(browser, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(script), script)


def _foreign_requests(browser, address: str) -> list[str]:
    """Addresses that the page asked for and that are not the book's own."""
    own = urlsplit(address)
    foreign, seen = [], 0
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] != "Network.requestWillBeSent":
            continue
        if not message["params"]["documentURL"].startswith(address):
            continue  # the browser's own start page
        seen += 1
        url = urlsplit(message["params"]["request"]["url"])
        is_own = (url.scheme, url.netloc) == (own.scheme, own.netloc)
        if not is_own and url.scheme not in ("data", "blob", "about"):
            foreign.append(url.geturl())
    assert seen, "the browser's log records no request at all"
    return foreign
