"""Servers on loopback for a browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

LOOPBACK = "127.0.0.1"
PATIENCE = 30.0


@contextmanager
def listening() -> Generator[tuple[socket.socket, int]]:
    """Yield a socket at a free port, and the port: known before the application that will be served there."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener, listener.getsockname()[1]


@contextmanager
def served(app: Any, listener: socket.socket) -> Generator[None]:
    """Serve an ASGI application with uvicorn on a thread; connections wait in the socket until it is ready."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
