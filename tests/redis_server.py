"""A real Redis, for the tests that need one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

PATIENCE = 30.0


class RedisServer:
    """A Redis at a Unix socket, which keeps nothing on disk."""

    def __init__(self, folder: str) -> None:
        """Start it, and wait until it takes connections."""
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is missing"
        socket = f"{folder}/socket"
        command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        self.socket = socket
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert any("ready to accept connections" in line.lower() for line in self._process.stdout)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE)


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Return a Redis that is empty."""
    # The path of a socket must be short.
    with TemporaryDirectory() as folder:
        server = RedisServer(folder)
        yield server
        server.stop()
