"""Debian's Chromium without a window: it prints the book, and tests read pages in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
MISSING = f"{CHROMIUM} and {DRIVER} are needed (Debian: chromium, chromium-driver)"
_FLAGS = (
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


def is_there() -> bool:
    """Whether both programs are installed."""
    return CHROMIUM.exists() and DRIVER.exists()


def launch(profile: Path, *, timeout: float = 60, logs: bool = False) -> Chrome:
    """Start it with an empty profile folder; `logs` keeps what pages print and ask for.

    Raises
    ------
    FileNotFoundError
        If it is not installed.
    """
    if not is_there():
        raise FileNotFoundError(MISSING)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in [*_FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    if logs:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    driver.command_executor.client_config.timeout = int(timeout)  # type: ignore[union-attr]
    driver.set_page_load_timeout(timeout)
    driver.set_script_timeout(timeout)
    return driver
