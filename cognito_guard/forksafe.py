"""What is shared by threads, and starts anew in a forked process."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from threading import Lock, RLock, Thread
from typing import NamedTuple
from weakref import WeakSet

FORK_WAITS = 1.0
"""Seconds for which a fork waits at most for fetches under way; the locks that matter are held for far less."""
_SLICE = 0.0002


class ForkSafe:
    """
    Own a lock that a forked process gets anew.

    Whoever held the parent's lock does not exist in the child: nobody would ever release it there.
    """

    def __init__(self) -> None:
        """Make the lock; to be called last, as a fork may reset the instance from then on."""
        self._lock = Lock()
        _instances.add(self)

    def _reset_after_fork(self) -> None:
        """Forget what other threads were in the middle of; called in a forked process, before anything else."""
        self._lock = Lock()


class _ForkGate:
    """
    Keep forks and the threads of fetches apart.

    OpenSSL holds locks while it serves a thread, and once more when the operating system takes the thread down,
    after Python has forgotten it.  A process that is forked at that moment would wait for them for ever: an
    application that fetches its keys and then forks its workers, as `gunicorn --preload` does, comes upon it.
    """

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Be open, with nobody inside; called in a forked process."""
        # Held from before a fork until after it; a fetch that comes meanwhile waits for it to begin.  By a thread
        # that may come again: a signal's handler forks in the middle of a fork.
        self._closed = RLock()
        self._inside: list[_Fetching] = []

    def enter(self) -> None:
        """Let no process be forked until the calling thread has ended, or FORK_WAITS is over."""
        with self._closed:
            self._inside = [fetching for fetching in self._inside if not fetching.is_gone()]
            self._inside.append(_Fetching(threading.current_thread(), threading.get_native_id()))

    def close(self) -> None:
        """Let nobody in, and wait for those inside to end; called before a fork."""
        ends_at = time.monotonic() + FORK_WAITS
        self._closed.acquire(timeout=FORK_WAITS)
        for fetching in self._inside:
            fetching.await_end(ends_at)

    def open(self) -> None:
        """Let everybody in; called after a fork in the process that forked."""
        # Of another thread that forks, and for which this one waited in vain.
        with suppress(RuntimeError):
            self._closed.release()


class _Fetching(NamedTuple):
    """Name a thread in Python's way and in the operating system's."""

    thread: Thread
    native_id: int

    def is_gone(self) -> bool:
        # Where gevent makes them, all threads are one.
        return not self.thread.is_alive() and (
            self.native_id == threading.get_native_id() or not self._is_known_to_system()
        )

    def await_end(self, ends_at: float) -> None:
        # Who forks in the middle of a fetch of its own does not wait for itself.
        if self.native_id == threading.get_native_id():
            return
        self.thread.join(max(0.0, ends_at - time.monotonic()))
        # Before Python 3.13, a joined thread may still be taken down.
        while self._is_known_to_system() and time.monotonic() < ends_at:
            time.sleep(_SLICE)

    def _is_known_to_system(self) -> bool:
        """Tell whether the thread still exists; only Linux tells."""
        return os.path.exists(f"/proc/self/task/{self.native_id}")


_instances: WeakSet[ForkSafe] = WeakSet()
fork_gate = _ForkGate()


def _reset_all() -> None:
    fork_gate.start_anew()
    for instance in _instances:
        instance._reset_after_fork()  # pyright: ignore[reportPrivateUsage] - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=fork_gate.close, after_in_parent=fork_gate.open, after_in_child=_reset_all)
