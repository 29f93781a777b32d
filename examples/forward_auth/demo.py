"""
The guard of guard.toml, asked as nginx asks it: what passes, what the application learns, what is refused.

Runs offline against a local user pool.  For a real one: its id and client in guard.toml, then
`cognito-guard serve --config guard.toml`, and the server of nginx.conf in nginx.
"""

import tomllib
from pathlib import Path

from starlette.testclient import TestClient

from cognito_guard import ResourceServer
from cognito_guard.forward_auth import VERIFY, from_mapping
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])
settings = tomllib.loads(Path(__file__).with_name("guard.toml").read_text())
settings["verifier"] |= {"user_pool_id": pool.user_pool_id, "client_id": pool.client_id, "jwks": pool.jwks}
guard = TestClient(from_mapping(settings))


def ask(method: str, uri: str, credentials: dict[str, str] | None = None) -> None:
    """Ask about a request, and print the verdict."""
    told = {"X-Original-Method": method, "X-Original-URI": uri}
    verdict = guard.get(VERIFY, headers=told | (credentials or {}))
    print(method, uri, verdict.status_code, verdict.headers.get("www-authenticate", ""), end="")
    print(verdict.headers.get("x-auth-username", ""))


if __name__ == "__main__":
    jane = pool.headers(username="jane", scopes=[orders["read"]], groups=["admins"])
    ask("GET", "/health")
    ask("GET", "/orders/1?page=2")
    ask("GET", "/orders/1?page=2", jane)
    ask("DELETE", "/orders/1", jane)
    ask("GET", "/admin/", jane)
    ask("GET", "/health/../admin/", jane)
    ask("GET", "/nowhere", jane)
