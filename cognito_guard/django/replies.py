"""The answers that are ours: challenges, and what is added to those of views."""

from __future__ import annotations

from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.cache import patch_vary_headers

from ..challenge import Challenge, Reply
from ..errors import RefusalError
from ..guard import Guard
from ..requires import Requirement
from ..tokens.credentials import one_token
from .conf import configuration
from .signals import request_refused


def refuse(request: HttpRequest, error: RefusalError, requirement: Requirement | None = None) -> Challenge:
    """Log a refusal, tell the receivers of `request_refused`, and return the answer."""
    challenge = configuration().guard.refuse(error, requirement)
    request_refused.send_robust(Guard, request=request, challenge=challenge)
    return challenge


async def arefuse(request: HttpRequest, error: RefusalError, requirement: Requirement | None = None) -> Challenge:
    """Do as `refuse` does, awaiting async receivers."""
    challenge = configuration().guard.refuse(error, requirement)
    await request_refused.asend_robust(Guard, request=request, challenge=challenge)
    return challenge


def response_for(reply: Reply) -> HttpResponse:
    """Return an answer of ours as Django's."""
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))


def varied(response: Any) -> Any:
    """Mark a view's response as its caller's own: Django's cache would hand it to the next one."""
    if isinstance(response, HttpResponseBase):
        vary = configuration().vary
        if response.has_header("Vary"):
            patch_vary_headers(cast("HttpResponse", response), vary)
        else:
            # What Django's function comes to for most views, in two thirds of the time.
            response.headers["Vary"] = ", ".join(vary)
    return response


def forgery(request: HttpRequest) -> HttpResponseBase | None:
    """
    Return Django's answer to what another site may have made a browser send, or None where there is no doubt.

    Only a token out of a cookie is sent without the page's doing; then Django's own check decides.
    """
    if not _comes_by_cookie(request):
        return None
    check = CsrfViewMiddleware(_nothing)
    check.process_request(request)
    return check.process_view(request, _nothing, (), {})


async def aforgery(request: HttpRequest) -> HttpResponseBase | None:
    """Return what `forgery` does; the check may read the session, and so runs in Django's thread."""
    return await sync_to_async(forgery)(request) if _comes_by_cookie(request) else None


def _nothing(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _comes_by_cookie(request: HttpRequest) -> bool:
    if not request.META.get("HTTP_COOKIE"):
        return False
    others = [(name, value) for name, value in request.headers.items() if name != "Cookie"]
    return one_token(configuration().guard.token_from, others) is None
