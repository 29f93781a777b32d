"""
A user pool to test against: real cryptography and Cognito's own claim shapes, no AWS and no network.

Nothing here imports a framework, and nothing here belongs in production.
"""

from .clock import FakeClock
from .pool import ABSENT, AppClient, FakeUserPool
from .server import FakeUserPoolServer

__all__ = ["ABSENT", "AppClient", "FakeClock", "FakeUserPool", "FakeUserPoolServer"]
