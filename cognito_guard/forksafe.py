"""What is shared by threads, and starts anew in a forked process."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from threading import Lock, Thread
from weakref import WeakSet

FORK_WAITS = 1.0
"""Seconds for which a fork waits at most for threads that are about to end."""
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


def fork_waits_for_this_thread() -> None:
    """
    Let no process be forked until the calling thread has ended, or FORK_WAITS is over.

    OpenSSL holds locks while it serves a thread, and once more when the operating system takes the thread down,
    after Python has forgotten it.  A process that is forked at that moment would wait for them for ever: an
    application that fetches its keys and then forks its workers, as `gunicorn --preload` does, comes upon it.
    """
    _waited_for.append((threading.current_thread(), threading.get_native_id()))


_instances: WeakSet[ForkSafe] = WeakSet()
# The latest, so that nothing grows where nobody forks.
_waited_for: deque[tuple[Thread, int]] = deque(maxlen=64)


def _await_threads() -> None:
    ends_at = time.monotonic() + FORK_WAITS
    for thread, native_id in list(_waited_for):
        # Not for itself; and where gevent makes them, all threads are this one.
        if native_id != threading.get_native_id():
            thread.join(max(0.0, ends_at - time.monotonic()))
            # Before Python 3.13, a joined thread may still be taken down.
            while os.path.exists(f"/proc/self/task/{native_id}") and time.monotonic() < ends_at:
                time.sleep(_SLICE)


def _reset_all() -> None:
    _waited_for.clear()
    for instance in _instances:
        instance._reset_after_fork()  # pyright: ignore[reportPrivateUsage] - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_await_threads, after_in_child=_reset_all)
