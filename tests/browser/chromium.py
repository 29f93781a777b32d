"""Chromium, which pip does not bring; it reaches nothing but this machine."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from playwright.sync_api import Page, sync_playwright

from .servers import LOOPBACK

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


@contextmanager
def new_page(**options: Any) -> Generator[Page]:
    """
    Open a page in a browser of its own.

    Args:
        options: arguments of Playwright's `Browser.new_context`.

    Raises:
        FileNotFoundError: there is no Chromium here.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise FileNotFoundError("no Chromium here: apt-get install --no-install-recommends chromium")
    with ExitStack() as opened:
        playwright = opened.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        opened.callback(browser.close)
        context = browser.new_context(**options)
        # For the pages that this one opens, too.
        context.set_default_timeout(PATIENCE)
        yield context.new_page()
