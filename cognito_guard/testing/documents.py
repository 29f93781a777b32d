"""
A server of documents on the loopback interface, for fakes whose keys lie elsewhere than a user pool's.
"""

from __future__ import annotations

from collections.abc import Callable

from .http_server import AnsweringServer
from .messages import Answer, Request


class DocumentServer(AnsweringServer):
    """
    Serve documents over HTTP on 127.0.0.1, at a port of the system's choice.

    Use it as a context manager, or call `start` and `close`.

    Args:
        document: from a path to its document as it is at that moment, or None where there is none (403).
    """

    def __init__(self, document: Callable[[str], bytes | None]) -> None:
        super().__init__(self._answer)
        self._document = document
        self._is_down = False

    def down(self) -> None:
        """Answer every request with 503 until `up`."""
        self._is_down = True

    def up(self) -> None:
        """End the outage."""
        self._is_down = False

    def _answer(self, request: Request) -> Answer:
        if self._is_down:
            return Answer(status=503)
        body = self._document(request.path)
        return Answer(status=403) if body is None else Answer(status=200, body=body)
