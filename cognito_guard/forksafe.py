"""What is shared by threads, and starts anew in a forked process."""

from __future__ import annotations

import os
from threading import Lock
from weakref import WeakSet


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


_instances: WeakSet[ForkSafe] = WeakSet()


def _reset_all() -> None:
    for instance in _instances:
        instance._reset_after_fork()  # pyright: ignore[reportPrivateUsage] - of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
