"""Authenticate every request that carries a bearer token, in sync and in async stacks alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ..challenge import Reply
from ..errors import RefusalError
from .caller import aenter, enter
from .conf import configuration
from .replies import arefuse, refuse, response_for, varied


class CognitoMiddleware:
    """
    Put the caller into `request.principal` and `request.user`, and refuse bad credentials.

    Stands after Django's AuthenticationMiddleware, which would overwrite the user.  A request without a
    bearer token keeps the user of its session, and its principal is None; with `"REQUIRED": True` it is refused.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """
        Take the rest of the stack.

        Raises:
            ConfigurationError: the settings can't be right; the site does not start.
        """
        configuration()
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        if self._is_async:
            return self._aserve(request)
        metadata = _metadata(request)
        if metadata is not None:
            return response_for(metadata)
        try:
            enter(request)
        except RefusalError as error:
            return response_for(refuse(request, error))
        response: HttpResponseBase = varied(self._get_response(request))
        return response

    async def _aserve(self, request: HttpRequest) -> HttpResponseBase:
        metadata = _metadata(request)
        if metadata is not None:
            return response_for(metadata)
        try:
            await aenter(request)
        except RefusalError as error:
            return response_for(await arefuse(request, error))
        response: HttpResponseBase = varied(await self._get_response(request))
        return response


def _metadata(request: HttpRequest) -> Reply | None:
    return configuration().guard.metadata_reply(request.method or "", request.path, request.path_info)
