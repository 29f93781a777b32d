"""
A user pool to test against: real cryptography and Cognito's own claim shapes, no AWS and no network.

Nothing here imports a framework, and nothing here belongs in production.
"""

from .assertions import assert_challenge
from .claims import ABSENT
from .clock import FakeClock
from .directory import AppClient, PoolUser
from .documents import DocumentServer
from .faults import Fault
from .faulty_server import FaultyJWKSServer
from .hostile import HostileToken, hostile_tokens
from .identity_pool import FakeIdentityPool
from .load_balancer import BalancerKey, FakeLoadBalancer
from .pool import FakeUserPool
from .refusals import TokenRequestError
from .server import FakeUserPoolServer

__all__ = [
    "ABSENT",
    "AppClient",
    "BalancerKey",
    "DocumentServer",
    "FakeClock",
    "FakeIdentityPool",
    "FakeLoadBalancer",
    "FakeUserPool",
    "FakeUserPoolServer",
    "Fault",
    "FaultyJWKSServer",
    "HostileToken",
    "PoolUser",
    "TokenRequestError",
    "assert_challenge",
    "hostile_tokens",
]
