"""
What guards leave of a server's requests per second: uvicorn on one core, the load from another.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .harness import Absent, Effort, Figure, Result, shuffled_rounds, single, spread

_CONNECTIONS = 16
_NAMES = {"bare": "unguarded", "checked": "bare RSA check", "seen": "token seen", "new": "token new"}
_PATIENCE = 30.0  # seconds for an answer, which takes a millisecond


def run(effort: Effort) -> list[Result]:
    """Start a server and load it, one kind of route after the other in each round."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) < 2:
        return [Absent(name="requests per second", why="no core for the load beside the server's")]
    with _server(min(500, effort.tokens)) as (port, tokens), _Load(port, tokens) as load:
        # The server has taken the last one.
        os.sched_setaffinity(0, set(cores[:-1]))
        rates: dict[str, list[float]] = {kind: [] for kind in _NAMES}
        waits: dict[str, list[float]] = {kind: [] for kind in _NAMES}
        for kind in _NAMES:
            load.run(kind, _CONNECTIONS * 10)
        for order in shuffled_rounds(list(_NAMES), max(2, effort.rounds // 3)):
            for kind in order:
                rate, seconds = load.run(kind, 10 * effort.batch)
                rates[kind].append(rate)
                waits[kind].append(statistics.quantiles(seconds, n=100)[98] * 1000)
    return [
        *_shares(rates),
        single("requests per second, unguarded", statistics.median(rates["bare"]), "per second"),
        *(spread(f"99th percentile of the wait, {_NAMES[kind]}", waits[kind], "ms") for kind in _NAMES),
    ]


def _shares(rates: dict[str, list[float]]) -> Iterator[Figure]:
    """Return what each kind leaves of the unguarded requests per second of the same round."""
    for kind, bar in (("checked", None), ("seen", 0.90), ("new", 0.42)):
        shares = [rate / bare for rate, bare in zip(rates[kind], rates["bare"], strict=True)]
        name = f"requests per second, {_NAMES[kind]}, over unguarded"
        yield spread(name, shares, "x", bar, more_is_better=True)


@contextmanager
def _server(count: int) -> Generator[tuple[int, list[str]]]:
    command = [sys.executable, "-m", f"{__package__}.wire_server", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (our own server)
        try:
            assert process.stdout is not None
            ready: dict[str, Any] = json.loads(process.stdout.readline())
            yield ready["port"], ready["tokens"]
        finally:
            process.kill()


class _Load:
    """Hold connections that stay alive, each with one request under way at any time."""

    def __init__(self, port: int, tokens: list[str]) -> None:
        self._port = port
        self._tokens = tokens
        self._connections: dict[int, socket.socket] = {}

    def __enter__(self) -> _Load:
        with ExitStack() as opened:
            for _ in range(_CONNECTIONS):
                connection = opened.enter_context(socket.create_connection(("127.0.0.1", self._port), _PATIENCE))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[connection.fileno()] = connection
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def run(self, kind: str, count: int) -> tuple[float, list[float]]:
        """
        Send so many requests.

        Returns:
            requests per second, and the seconds that each one waited for its answer.
        """
        requests = itertools.islice(itertools.cycle([_request(kind, token) for token in self._tokens]), count)
        waits: list[float] = []
        sent: dict[int, float] = {}
        with select.epoll() as poll:
            start = time.perf_counter()
            for number, connection in self._connections.items():
                poll.register(number, select.EPOLLIN)
                sent[number] = time.perf_counter()
                connection.sendall(next(requests))
            while sent:
                ready = poll.poll(_PATIENCE)
                assert ready, "no answer"
                for number, _ in ready:
                    connection = self._connections[number]
                    _take_answer(connection)
                    now = time.perf_counter()
                    waits.append(now - sent.pop(number))
                    request = next(requests, None)
                    if request is not None:
                        sent[number] = now
                        connection.sendall(request)
            return count / (time.perf_counter() - start), waits


def _request(kind: str, token: str) -> bytes:
    return f"GET /{kind} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def _take_answer(connection: socket.socket) -> None:
    answer = connection.recv(4096)
    # The body comes in a packet of its own, right behind the head.
    while not answer.endswith(b"\r\n\r\nhello"):
        more = connection.recv(4096)
        assert more, "the server hung up"
        answer += more
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:100]
