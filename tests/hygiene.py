"""
What holds for every test: no network but loopback, and nothing left running behind it.

A pytest plugin.  Its audit hook sees whatever opens a socket or asks for a name, in any thread and through any
library.  It stops that at once, and fails the test even where the error was swallowed.  Python processes that a test
starts are out of its reach.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from weakref import WeakSet

import pytest

from cognito_guard.keys.remote import REFRESH_THREAD

GRACE = 10.0
"""Seconds in which a thread that is about to end does so, on the busiest machine."""
GRACE_OF_SYSTEM = 1.0
"""Seconds in which the system takes it down then; a thread that stays for longer belongs to a library."""

breaches: list[str] = []
"""What went beyond loopback since the last test ended, in words."""

_ADDRESSES = {"socket.connect": 1, "socket.bind": 1, "socket.sendto": 1, "socket.sendmsg": 1}
_HOSTS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}
_IDLE = ("concurrent.futures.thread", "_worker")
_before = pytest.StashKey[frozenset[threading.Thread]]()
_unnamed_before = pytest.StashKey[set[int]]()
# Of servers that several tests use, for as long as they use them.
_shared: WeakSet[threading.Thread] = WeakSet()


class NetworkForbiddenError(Exception):
    """Say that a test wanted to go beyond loopback."""


def is_local(host: object) -> bool:
    """Tell whether a host is this machine, without asking anybody; no host at all is."""
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name == "localhost":
        return name is None or name == "localhost"
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def leftovers(before: frozenset[threading.Thread]) -> list[threading.Thread]:
    """Return the threads begun since then that are nobody's business any more, once they have had time to end."""
    begun = [thread for thread in threading.enumerate() if thread not in before and thread not in _shared]
    awaited = [thread for thread in begun if thread.name == REFRESH_THREAD or not thread.daemon]
    busy = [thread for thread in awaited if not _is_idle(thread)]
    for thread in busy:
        # One that is just being started can't be joined yet.
        with suppress(RuntimeError):
            thread.join(GRACE)
    return [thread for thread in busy if thread.is_alive() and not _is_idle(thread)]


def await_unnamed(before: set[int]) -> None:
    """
    Let the system take down the threads that Python has forgotten since then.

    OpenSSL holds a lock meanwhile, for which a process would wait for ever that the next test forks.
    """
    ends_at = time.monotonic() + GRACE_OF_SYSTEM
    while _unnamed() - before and time.monotonic() < ends_at:
        os.sched_yield()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Remember what runs already."""
    item.stash[_before] = frozenset(threading.enumerate())
    item.stash[_unnamed_before] = _unnamed()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Let fixtures of several tests keep their threads: they end with the last of those tests."""
    before = frozenset(threading.enumerate())
    try:
        return (yield)
    finally:
        if fixturedef.scope != "function":
            _shared.update(set(threading.enumerate()) - before)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test that went beyond loopback, or whose threads outlive it."""
    try:
        return (yield)
    finally:
        left = leftovers(item.stash[_before])
        await_unnamed(item.stash[_unnamed_before])
        beyond, breaches[:] = breaches.copy(), []
        if beyond:
            pytest.fail(f"went beyond loopback: {', '.join(beyond)}", pytrace=False)
        if left:
            pytest.fail(f"left threads running: {', '.join(map(repr, left))}", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to repeat a failed run; the header, which says it too, is missing with `-q`."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None and (terminalreporter.stats.get("failed") or terminalreporter.stats.get("error")):
        terminalreporter.write_line(f"The same order again: -p randomly --randomly-seed={seed}")


def _unnamed() -> set[int]:
    """Return the system's names of threads that Python has none for: not yet, not any more, or a library's own."""
    try:
        tasks = {int(name) for name in os.listdir("/proc/self/task")}
    except FileNotFoundError:  # a system that does not tell
        return set()
    return tasks - {thread.native_id for thread in threading.enumerate()}


def _is_idle(thread: threading.Thread) -> bool:
    """Tell a pool's worker that waits for work: it ends when the pool is forgotten, or with the process."""
    frame = sys._current_frames().get(thread.ident or 0)  # pyright: ignore[reportPrivateUsage] - documented
    # Its innermost function; the wait itself is none of Python's.
    if frame is None or (frame.f_globals["__name__"], frame.f_code.co_name) != _IDLE:
        return False
    return "work_item" not in frame.f_locals and bool(frame.f_locals["work_queue"].empty())


def _watch(event: str, args: tuple[Any, ...]) -> None:
    # Called for every import and many calls more: the usual answer comes first.
    if not event.startswith("socket."):
        return
    if event in _HOSTS:
        host = args[_HOSTS[event]]
    elif event in _ADDRESSES and isinstance(args[_ADDRESSES[event]], tuple):
        host = args[_ADDRESSES[event]][0]
    else:
        # Another event, or the path of a Unix socket.
        return
    if not is_local(host):
        breaches.append(f"{event} {host}")
        raise NetworkForbiddenError(breaches[-1])


sys.addaudithook(_watch)
