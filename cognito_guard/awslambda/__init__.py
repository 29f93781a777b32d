"""
Guard AWS Lambda functions, be the Lambda authorizer of an API, or read what API Gateway has verified itself.

Make the verifier at the top of the module, where it outlives the invocation, and have it fetch the keys while
the function starts; a fetch that fails there is made again for the first token:

    verifier = CognitoVerifier.from_env(schedule=RefreshSchedule(deadline=2), timer=time.time)
    with suppress(UnavailableError):
        verifier.prefetch()

- `timer=time.time`: a frozen container's monotonic clock may stand still while its keys grow old, and a restored
  one's (SnapStart) starts somewhere else.  A wall clock that is set back only makes the keys be fetched anew.
- Without a way out of the VPC: `jwks=json.loads(Path("jwks.json").read_text())` in place of a schedule.  Such keys
  serve for ever: deploy anew when the user pool changes its own.

Nothing runs on between two invocations, so nobody may rely on a refresh in the background: guards and authorizers
refresh keys that are due before they judge a token.
"""

from __future__ import annotations

from .asserted import GatewayCaller, gateway_caller
from .authorizer import UnauthorizedError
from .context import flat_context
from .guard import CognitoGuard, authorize, principal_of, principal_or_none, refuse
from .identity import GatewayIdentity, gateway_identity
from .rest import RestAuthorizer
from .simple import HttpAuthorizer
from .texts import Asserted

__all__ = [
    "Asserted",
    "CognitoGuard",
    "GatewayCaller",
    "GatewayIdentity",
    "HttpAuthorizer",
    "RestAuthorizer",
    "UnauthorizedError",
    "authorize",
    "flat_context",
    "gateway_caller",
    "gateway_identity",
    "principal_of",
    "principal_or_none",
    "refuse",
]
