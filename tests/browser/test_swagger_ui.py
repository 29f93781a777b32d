"""Swagger UI in Chromium: people sign in on the docs page at a user pool's login page, and call what they may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import drf_spectacular_sidecar
import pytest
from fastapi import Depends, FastAPI, Security
from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from playwright.sync_api import Locator, Page, expect

from cognito_guard import Principal, ResourceServer
from cognito_guard.fastapi import ChallengeError, CognitoBearer, challenge_response
from cognito_guard.testing import FakeUserPool, FakeUserPoolServer, PoolUser

from .chromium import new_page
from .servers import LOOPBACK, listening, served

pytestmark = pytest.mark.system

ORDERS = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
# The only place that pip brings a current Swagger UI to; no browser here can reach a CDN.
SWAGGER_UI = Path(drf_spectacular_sidecar.__file__).parent.joinpath(
    "static", "drf_spectacular_sidecar", "swagger-ui-dist"
)


def build_app(pool: FakeUserPool, domain: str) -> FastAPI:
    """Build a guarded application whose docs page takes its scripts from the application itself."""
    guard = CognitoBearer(pool.verifier(), domain=domain, scopes=ORDERS)
    app = FastAPI(title="Orders", docs_url=None, exception_handlers={ChallengeError: challenge_response})
    app.mount("/swagger-ui", StaticFiles(directory=SWAGGER_UI))

    @app.get("/orders")
    def list_orders(caller: Principal = Security(guard, scopes=[ORDERS["read"]])) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"read_by": caller.display_name}

    @app.delete("/orders")
    def delete_orders(caller: Principal = Depends(guard.requires(ORDERS["write"]))) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"deleted_by": caller.display_name}

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Orders",
            swagger_js_url="/swagger-ui/swagger-ui-bundle.js",
            swagger_css_url="/swagger-ui/swagger-ui.css",
            swagger_favicon_url="/swagger-ui/favicon-32x32.png",
            oauth2_redirect_url="/docs/oauth2-redirect",
            init_oauth=guard.swagger_ui_oauth(client_id=pool.client_id),
        )

    @app.get("/docs/oauth2-redirect", include_in_schema=False)
    def back() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        return get_swagger_ui_oauth2_redirect_html()

    return app


class DocsPage:
    """Do what people do on the docs page."""

    def __init__(self, page: Page, url: str, pool_server: FakeUserPoolServer) -> None:
        self.page, self.url, self.pool_server = page, url, pool_server

    def open_sign_in(self) -> Page:
        """Ask for `orders/read` alone, and return the login page that comes up."""
        self.page.goto(self.url)
        self.page.get_by_role("button", name="Authorize", exact=True).click()
        dialog = self.page.locator(".dialog-ux")
        expect(dialog.get_by_text("Read orders")).to_be_visible()
        dialog.locator("label", has_text="orders/write").locator(".item").click()
        with self.page.expect_popup() as popup:
            dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
        return popup.value

    def close_dialog(self) -> None:
        """Leave the dialog, which must have got its token."""
        dialog = self.page.locator(".dialog-ux")
        expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
        dialog.get_by_role("button", name="Close", exact=True).click()

    def execute(self, method: str) -> Locator:
        """Execute the operation of a method, and return what the page shows of the answer."""
        block = self.page.locator(f".opblock-{method}")
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        return block.locator(".live-responses-table tr.response")


@pytest.fixture
def docs_page() -> Iterator[DocsPage]:
    """Serve the application and its user pool, and open a browser that knows these two alone."""
    with ExitStack() as stack:
        listener, port = stack.enter_context(listening())
        url = f"http://{LOOPBACK}:{port}/docs"
        pool = FakeUserPool(
            users={"jane": PoolUser(password="swordfish"), "joe": PoolUser()},
            callback_urls=[f"{url}/oauth2-redirect"],
            resource_servers=ORDERS,
        )
        pool_server = stack.enter_context(pool.serve())
        stack.enter_context(served(build_app(pool, pool_server.url), listener))
        page = stack.enter_context(new_page(viewport={"width": 1200, "height": 1600}))
        yield DocsPage(page, url, pool_server)


def test_who_signs_in_on_the_docs_page_may_do_what_was_granted(docs_page: DocsPage, tmp_path: Path) -> None:
    """Authorization code with PKCE from another origin: a 200 with the name, and a 403 for the scope left out."""
    login = docs_page.open_sign_in()
    login.get_by_label("User name").fill("jane")
    login.get_by_label("Password").fill("wrong")
    login.get_by_role("button", name="Sign in", exact=True).click()
    expect(login.get_by_role("alert")).to_have_text("Incorrect username or password.")
    login.screenshot(path=tmp_path / "login.png")
    login.get_by_label("User name").fill("jane")
    login.get_by_label("Password").fill("swordfish")
    with login.expect_event("close"):
        login.get_by_role("button", name="Sign in", exact=True).click()
    docs_page.close_dialog()

    allowed = docs_page.execute("get")
    expect(allowed.locator(".response-col_status")).to_contain_text("200")
    expect(allowed).to_contain_text('"read_by": "jane"')
    forbidden = docs_page.execute("delete")
    expect(forbidden.locator(".response-col_status")).to_contain_text("403")
    expect(forbidden).to_contain_text("insufficient_scope")
    docs_page.page.screenshot(path=tmp_path / "docs.png", full_page=True)
    posts = [path for method, path in docs_page.pool_server.requests if method == "POST"]
    assert posts == ["/login", "/login", "/oauth2/token"]


def test_user_without_password_signs_in_with_one_click(docs_page: DocsPage) -> None:
    """The login page has a button of the user's own."""
    login = docs_page.open_sign_in()
    with login.expect_event("close"):
        login.get_by_role("button", name="Sign in as joe").click()
    docs_page.close_dialog()
    expect(docs_page.execute("get")).to_contain_text('"read_by": "joe"')


def test_nobody_signed_in_gets_a_401(docs_page: DocsPage) -> None:
    """What the page shows without a token is the guard's challenge."""
    docs_page.page.goto(docs_page.url)
    refused = docs_page.execute("get")
    expect(refused.locator(".response-col_status")).to_contain_text("401")
    expect(refused).to_contain_text("www-authenticate: Bearer")
