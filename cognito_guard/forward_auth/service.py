"""The service that a proxy asks: pure ASGI, default deny, and it fails closed."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from http import HTTPStatus

from ..abstract import Verifier
from ..asgi.connection import Receive, Scope, Send, headers_of, send_reply
from ..challenge import DEFAULT_REALM, WEBSOCKET_POLICY_VIOLATION, Reply
from ..errors import ConfigurationError, RefusalError, RequirementNotMetError
from ..guard import Guard
from ..metadata import ProtectedResource
from ..requires import Requirement
from ..tokens.credentials import Extractor, header
from .identity import IdentityHeaders
from .original import HEALTH, READY, Proxy, check_proxy, is_verification, original_request, requested_path
from .rules import Rule, check_rules, rule_for

_log = logging.getLogger("cognito_guard")
_NEVER_STORED = ("Cache-Control", "no-store")
_FINE = Reply(status=HTTPStatus.OK, headers=(_NEVER_STORED,), body=b"")
_NOT_HERE = Reply(status=HTTPStatus.NOT_FOUND, headers=(_NEVER_STORED,), body=b"")


class ForwardAuth:
    """
    Answer a proxy that asks whether a request may pass.

    A request that may is answered with 200 and the identity headers; one that may not with the status and challenge
    that it would get from a guarded application, for the proxy to send on.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        proxy: Proxy,
        rules: Iterable[Rule],
        headers: IdentityHeaders = IdentityHeaders(),  # noqa: B008  (frozen)
        token_from: Iterable[Extractor] = (header(),),
        metadata: ProtectedResource | None = None,
        realm: str = DEFAULT_REALM,
        problem_details: bool = False,
    ) -> None:
        """
        Serve one proxy, or several of a kind.

        Args:
            verifier: judges tokens.
            proxy: who asks: it decides where the original method and path are read, and nowhere else are they.
            rules: who may send what where; the first that fits decides, and what none fits is refused.
            headers: the names under which the caller is told.
            token_from: where a token may stand; each request may use one of them.
            metadata: the protected resource's metadata (RFC 9728), named in challenges and served at its own path,
                for a proxy that sends requests for it here; or None.
            realm: named in challenges.
            problem_details: word the body of a refusal as problem details (RFC 9457).

        Raises:
            ConfigurationError: a value that can't be right; its `setting` names the argument.
        """
        check_proxy(proxy)
        if not isinstance(headers, IdentityHeaders):
            raise ConfigurationError("headers", f"expected IdentityHeaders, got {type(headers).__name__}")
        self._guard = Guard(
            verifier=verifier, token_from=token_from, metadata=metadata, realm=realm, problem_details=problem_details
        )
        self._proxy: Proxy = proxy
        self._rules = check_rules(rules)
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "websocket":
            # Some proxies ask with all headers of the original request, those of an upgrade among them.
            await send({"type": "websocket.close", "code": WEBSOCKET_POLICY_VIOLATION, "reason": ""})
            return
        if scope["type"] != "http":
            raise ConfigurationError("app", "only http can be served, got another kind of connection")
        await send_reply(await self._reply(scope), scope, send)

    async def _reply(self, scope: Scope) -> Reply:
        path = requested_path(scope)
        if path == HEALTH:
            return _FINE
        if path == READY:
            return await self._readiness()
        if is_verification(self._proxy, path):
            return await self._verdict(scope)
        return self._guard.metadata_reply(scope["method"], scope["path"]) or _NOT_HERE

    async def _readiness(self) -> Reply:
        try:
            await self._guard.verifier.aprefetch()
        except RefusalError as error:
            return self._guard.refuse(error)
        return _FINE

    async def _verdict(self, scope: Scope) -> Reply:
        try:
            rule = rule_for(self._rules, *original_request(self._proxy, scope))
        except RequirementNotMetError as error:
            # Ours and a constant: what the request said is not in it.
            _log.info("no rule admits the request: %s", error, extra={"problem": str(error)})
            return self._guard.refuse(error)
        if rule.public:
            return self._pass(self._headers.of(None, ()))
        return await self._judged(scope, rule.requirement)

    async def _judged(self, scope: Scope, requirement: Requirement) -> Reply:
        try:
            caller = await self._guard.aauthenticate(headers_of(scope))
            principal = self._guard.authorize(caller, requirement)
        except RefusalError as error:
            return self._guard.refuse(error, requirement)
        return self._pass(self._headers.of(principal, self._guard.verifier.granted_scopes(principal)))

    @staticmethod
    def _pass(identity: tuple[tuple[str, str], ...]) -> Reply:
        # 200 and no other success: Envoy takes no other.
        return Reply(status=HTTPStatus.OK, headers=(*identity, _NEVER_STORED), body=b"")
