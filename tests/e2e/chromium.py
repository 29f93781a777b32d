"""Sign in at a login page in a real browser, which pip does not bring."""

from __future__ import annotations

import shutil

import httpx
from playwright.sync_api import sync_playwright

from .emulators import LOOPBACK
from .oauth import CALLBACK
from .tokens import PASSWORD, USER

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 30_000  # milliseconds
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {LOOPBACK}",
]


def by_browser(url: str) -> httpx.URL:
    """Open the page in Chromium, type in name and password, and return where the browser lands."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    if not found:
        raise FileNotFoundError("no Chromium here: apt-get install --no-install-recommends chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=FLAGS)
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE)
            page.route(f"{CALLBACK}**", lambda route: route.fulfill(body="signed in"))
            page.goto(url)
            page.get_by_label("name").fill(USER)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in", exact=True).click()
            page.wait_for_url(f"{CALLBACK}**")
            return httpx.URL(page.url)
        finally:
            browser.close()
