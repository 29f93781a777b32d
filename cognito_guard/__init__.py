"""
Guard Python web APIs with Amazon Cognito.

The verifier and its words; importing this loads no web framework.
"""

from ._version import __version__
from .abstract import Verifier
from .challenge import Challenge, challenge_for
from .errors import (
    AuthenticationError,
    AuthorizationError,
    CognitoGuardError,
    ConfigurationError,
    ExpiredTokenError,
    ImmatureTokenError,
    InsufficientScopeError,
    InvalidClaimError,
    InvalidRequestError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    MissingTokenError,
    Reason,
    RefusalError,
    RequirementNotMetError,
    RevokedTokenError,
    StepUpRequiredError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
)
from .keys.fetch import Fetch, FetchError, HTTPSFetch
from .keys.freshness import RefreshSchedule
from .metadata import ProtectedResource
from .pool import UserPool
from .principal import Actor, Principal
from .requires import Requirement, Requires
from .revocations import RevocationList, Revocations
from .scopes import ResourceServer
from .tokens.credentials import cookie, header, websocket_subprotocol
from .tokens.policy import ANY_CLIENT
from .verifier import CognitoVerifier

__all__ = [
    "ANY_CLIENT",
    "Actor",
    "AuthenticationError",
    "AuthorizationError",
    "Challenge",
    "CognitoGuardError",
    "CognitoVerifier",
    "ConfigurationError",
    "ExpiredTokenError",
    "Fetch",
    "FetchError",
    "HTTPSFetch",
    "ImmatureTokenError",
    "InsufficientScopeError",
    "InvalidClaimError",
    "InvalidRequestError",
    "InvalidSignatureError",
    "InvalidTokenError",
    "MalformedTokenError",
    "MissingTokenError",
    "Principal",
    "ProtectedResource",
    "Reason",
    "RefreshSchedule",
    "RefusalError",
    "Requirement",
    "RequirementNotMetError",
    "Requires",
    "ResourceServer",
    "RevocationList",
    "Revocations",
    "RevokedTokenError",
    "StepUpRequiredError",
    "UnavailableError",
    "UnknownKeyError",
    "UnsupportedAlgorithmError",
    "UserPool",
    "Verifier",
    "__version__",
    "challenge_for",
    "cookie",
    "header",
    "websocket_subprotocol",
]
