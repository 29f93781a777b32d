"""Authenticate by bearer token, and answer who is refused with the exact challenge."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated, PermissionDenied
from rest_framework.request import Request

from ..challenge import Challenge
from ..django.caller import enter
from ..django.conf import configuration
from ..django.replies import forgery, refuse, response_for
from ..errors import RefusalError
from ..requires import Requirement
from .composition import principal_of
from .demands import OthersRefusalError, requirement_of

_CHALLENGE = "_cognito_guard_challenge"


class ChallengeError(APIException):
    """Carry a challenge through REST framework, whose own handler finds in it status, challenge and `Retry-After`."""

    def __init__(self, challenge: Challenge) -> None:
        """Take the challenge."""
        super().__init__(HTTPStatus(challenge.status).phrase)
        headers = dict(challenge.headers)
        self.challenge = challenge
        self.status_code: int = challenge.status
        self.auth_header: str | None = headers.get("WWW-Authenticate")
        self.wait: int = int(headers.get("Retry-After", 0))


class CognitoAuthentication(BaseAuthentication):
    """
    Authenticate by bearer token: `request.auth` is the Principal, `request.user` its user.

    Stands first among a view's classes: the first one's challenge is what anonymous callers are told.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """
        Return user and principal, or None for a request without a bearer token, so that other classes may follow.

        Raises:
            ChallengeError: the credentials are bad, or can't be checked now.
            PermissionDenied: the token stands in a cookie, and the request fails Django's check against forgery.
        """
        http = _django_request(request)
        try:
            caller = enter(http)
        except RefusalError as error:
            # REST framework does so next; a view that chooses permissions by the user would come back here for it.
            cast("Any", request)._not_authenticated()
            demanded = _demanded(request.parser_context.get("view"))
            raise ChallengeError(refuse(http, error, demanded)) from error
        if caller is not None and forgery(http) is not None:
            raise PermissionDenied("CSRF Failed")
        return caller and (caller.user, caller.principal)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge to a caller without credentials, with the scopes that the view needs."""
        challenge = _verdict(request, request.parser_context["view"])
        headers = {} if challenge is None else dict(challenge.headers)
        return headers.get("WWW-Authenticate") or f'Bearer realm="{configuration().guard.realm}"'


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponseBase | None:
    """Answer refusals as all adapters do, and anything else as REST framework does."""
    # Its views ask the settings for this package's classes, which must be there by then.
    from rest_framework import views

    request, view = context["request"], context["view"]
    challenge = None
    if isinstance(exc, ChallengeError):
        challenge = exc.challenge
    elif isinstance(exc, NotAuthenticated) or (isinstance(exc, PermissionDenied) and principal_of(request)):
        challenge = _verdict(request, view)
    if challenge is None:
        return views.exception_handler(exc, context)
    views.set_rollback()
    return response_for(challenge)


def _verdict(request: Request, view: Any) -> Challenge | None:
    """Return the answer to a caller whom the view's permissions refuse, or None where that is REST framework's."""
    http = _django_request(request)
    # Asked for its header first and for the whole of it then; logged once.
    if _CHALLENGE not in http.__dict__:
        http.__dict__[_CHALLENGE] = _judged(request, view)
    challenge: Challenge | None = http.__dict__[_CHALLENGE]
    return challenge


def _judged(request: Request, view: Any) -> Challenge | None:
    if not any(isinstance(each, CognitoAuthentication) for each in request.authenticators or ()):
        return None
    principal = principal_of(request)
    requirement = _demanded(view, None if principal is None else request)
    if requirement is None:
        return None
    try:
        configuration().guard.authorize(principal, requirement)
    except OthersRefusalError:
        return None
    except RefusalError as error:
        return refuse(_django_request(request), error, requirement)
    except Exception:
        # A predicate that relies on what was not met before it.
        return None
    return None


def _demanded(view: Any, request: Request | None = None) -> Requirement | None:
    """Return what a view's permissions demand, or None where they fail over it."""
    # The request is refused already: what fails now, for whatever reason, must not make a server error of it.
    with suppress(Exception):
        return requirement_of(view, request)
    return None


def _django_request(request: Request) -> HttpRequest:
    return request._request  # pyright: ignore[reportPrivateUsage] - as REST framework's own classes do
