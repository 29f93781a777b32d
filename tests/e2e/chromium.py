"""Sign in at a login page in a real browser, which pip does not bring."""

from __future__ import annotations

import httpx
from browser.chromium import new_page

from .oauth import CALLBACK
from .tokens import PASSWORD, USER


def by_browser(url: str) -> httpx.URL:
    """Open the page in Chromium, type in name and password, and return where the browser lands."""
    with new_page() as page:
        page.route(f"{CALLBACK}**", lambda route: route.fulfill(body="signed in"))
        page.goto(url)
        page.get_by_label("name").fill(USER)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(f"{CALLBACK}**")
        return httpx.URL(page.url)
