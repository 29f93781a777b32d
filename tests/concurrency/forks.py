"""What the tests that fork share."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable

import pytest

from . import PATIENCE

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def in_child(check: Callable[[], bool]) -> bool:
    """Return what the check says in a forked process; one that hangs there is killed, and has failed."""
    with warnings.catch_warnings():
        # Python 3.12 and later warn of what is tested here: a fork beside other threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        passed = False
        try:
            signal.alarm(int(PATIENCE))
            passed = check()
        finally:
            os._exit(0 if passed else 1)
    _, status = os.waitpid(child, 0)
    return status == 0
