"""
A fake user pool over real HTTP, on the loopback interface only.
"""

from __future__ import annotations

from typing import Any

from ..verifier import CognitoVerifier
from .endpoints import Endpoints, ServedUserPool
from .http_server import AnsweringServer


class FakeUserPoolServer(AnsweringServer):
    """
    Serve a fake user pool over real HTTP on 127.0.0.1, at a port of the system's choice.

    Use it as a context manager, or call `start` and `close`.

    Args:
        user_pool: the pool to serve, as it is at the moment of each request.
    """

    def __init__(self, user_pool: ServedUserPool) -> None:
        self._user_pool = user_pool
        self._endpoints = Endpoints(user_pool, lambda: self.url)
        super().__init__(self._endpoints.answer)

    @property
    def jwks_uri(self) -> str:
        """
        Where the key set is.

        Raises:
            RuntimeError: the server does not run.
        """
        return f"{self.url}{self._endpoints.jwks_path}"

    @property
    def token_endpoint(self) -> str:
        """
        Where credentials, codes and refresh tokens become tokens.

        Raises:
            RuntimeError: the server does not run.
        """
        return f"{self.url}/oauth2/token"

    def count(self, path_suffix: str) -> int:
        """Return how many requests so far had a path with this ending, for example `jwks.json`."""
        return sum(path.endswith(path_suffix) for _, path in self.requests)

    def down(self) -> None:
        """Answer every request for the key set with 503 until `up`."""
        self._endpoints.is_down = True

    def up(self) -> None:
        """End the outage."""
        self._endpoints.is_down = False

    def verifier(self, **overrides: Any) -> CognitoVerifier:
        """
        Return a verifier of the user pool that fetches its keys from this server.

        Args:
            overrides: arguments of `CognitoVerifier` that win over the ones made here.

        Raises:
            ConfigurationError: an argument that the verifier refuses.
            RuntimeError: the server does not run, unless `jwks` is given.
        """
        here = {} if "jwks" in overrides else {"jwks_uri": self.jwks_uri, "allow_insecure_http": True}
        return self._user_pool.verifier(**(here | overrides))

    def __repr__(self) -> str:
        state = "stopped" if self._listener is None else self.url
        return f"<FakeUserPoolServer of {self._user_pool.user_pool_id}, {state}>"
