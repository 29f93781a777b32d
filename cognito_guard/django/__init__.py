"""
Be at home in Django: a middleware, a decorator, a user, a permission backend and checks, sync and async.

Settings stand in `COGNITO_GUARD`; `cognito_guard.django` in INSTALLED_APPS adds the system checks.
"""

try:
    import django as _django
except ImportError as _cause:
    raise ImportError("cognito_guard.django needs Django: pip install 'cognito-guard[django]'") from _cause

from .backends import CognitoBackend
from .caller import CognitoRequest, OptionalCognitoRequest
from .decorators import cognito_optional, cognito_required
from .middleware import CognitoMiddleware
from .signals import principal_verified, request_refused
from .users import CognitoUser

del _django

__all__ = [
    "CognitoBackend",
    "CognitoMiddleware",
    "CognitoRequest",
    "CognitoUser",
    "OptionalCognitoRequest",
    "cognito_optional",
    "cognito_required",
    "principal_verified",
    "request_refused",
]
