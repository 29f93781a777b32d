"""
Be at home in Django REST framework: an authentication class, permissions that compose, an exception handler.

`"EXCEPTION_HANDLER": "cognito_guard.drf.exception_handler"` makes every refusal the answer that all adapters
give.  Without it REST framework words the body, and a caller who lacks a scope is not told which.
"""

try:
    import rest_framework as _rest_framework
except ImportError as _cause:
    raise ImportError("cognito_guard.drf needs Django REST framework: pip install 'cognito-guard[drf]'") from _cause

from .authentication import ChallengeError, CognitoAuthentication, exception_handler
from .composition import CognitoPermission
from .permissions import HasAnyScope, HasGroups, HasRequiredScopes, HasScopes, Meets

del _rest_framework

__all__ = [
    "ChallengeError",
    "CognitoAuthentication",
    "CognitoPermission",
    "HasAnyScope",
    "HasGroups",
    "HasRequiredScopes",
    "HasScopes",
    "Meets",
    "exception_handler",
]
