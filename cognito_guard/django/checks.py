"""System checks: what is wrong with the settings, said before the first request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution

from ..errors import ConfigurationError
from .conf import SETTING, build

_OURS = ("cognito_guard.django.CognitoMiddleware", "cognito_guard.django.middleware.CognitoMiddleware")
_DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_settings(**_: Any) -> list[CheckMessage]:
    """Report settings that can't be right (E001)."""
    try:
        build(getattr(settings, SETTING, None))
    except ConfigurationError as error:
        return [Error(f"{SETTING}: {error}", id="cognito_guard.E001")]
    return []


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Warn of a CognitoMiddleware whose user Django's AuthenticationMiddleware overwrites (W001)."""
    stack: Sequence[str] = settings.MIDDLEWARE
    places = [place for place, name in enumerate(stack) if name in _OURS]
    if not places or _DJANGOS not in stack[min(places) :]:
        return []
    hint = f"Put {stack[min(places)]} after {_DJANGOS}."
    return [Caution("CognitoMiddleware stands before AuthenticationMiddleware.", hint=hint, id="cognito_guard.W001")]
