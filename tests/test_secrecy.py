"""
Nothing that a token, a request or a key endpoint says is ever printed: by no error, log, repr or answer.

Printed is what Python shows of an object without being asked for more: its str and its repr, an error's arguments,
notes and attributes, its traceback, and all of that for every cause behind it.  The local variables of frames, which
some error trackers collect, hold the token in every program that reads one; they are out of a library's hands, and
are not looked at here.  A warning is an error here, so that it is printed as one.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import traceback
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from inspect import isclass
from typing import Any, TypeAlias

import pytest
from adapters import DENIAL, Header, bearer, connection, handshake, talk
from adapters.contract import Answer, ask_asgi, ask_wsgi
from adapters.drivers.awslambda import LambdaDriver

from adapters.django_settings import AUTHENTICATION, COGNITO, CSRF, SESSIONS  # isort: skip - configures Django
from conftest import Call
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Route
from test_fetch import ScriptedServer, answer, chunked, response

import cognito_guard
from cognito_guard import (
    Actor,
    CognitoGuardError,
    CognitoVerifier,
    ConfigurationError,
    ExpiredTokenError,
    FetchError,
    HTTPSFetch,
    ImmatureTokenError,
    InsufficientScopeError,
    InvalidClaimError,
    InvalidRequestError,
    InvalidSignatureError,
    MalformedTokenError,
    MissingTokenError,
    Principal,
    ProtectedResource,
    Reason,
    RefreshSchedule,
    RefusalError,
    Requirement,
    RequirementNotMetError,
    Requires,
    ResourceServer,
    RevocationList,
    RevokedTokenError,
    StepUpRequiredError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
    UserPool,
    alb,
    awslambda,
    challenge_for,
    cookie,
    forward_auth,
    header,
    identity_pool,
    websocket_subprotocol,
)
from cognito_guard import asgi as asgi_adapter
from cognito_guard import drf as drf_adapter
from cognito_guard import fastapi as fastapi_adapter
from cognito_guard import flask as flask_adapter
from cognito_guard import starlette as starlette_adapter
from cognito_guard import wsgi as wsgi_adapter
from cognito_guard.asgi.connection import Credentials, enter
from cognito_guard.django import (
    CognitoBackend,
    CognitoMiddleware,
    CognitoRequest,
    CognitoUser,
    OptionalCognitoRequest,
    cognito_required,
)
from cognito_guard.guard import Guard
from cognito_guard.keys.keyset import InvalidKeySetError, Key, KeySet
from cognito_guard.testing import ABSENT, FakeClock, FakeIdentityPool, FakeLoadBalancer, FakeUserPool
from cognito_guard.testing.keys import SigningKey
from cognito_guard.testing.pool import AppClient
from cognito_guard.tokens.jws import parse

WINDOW = 8
"""How many characters in a row are a leak."""
DIGITS = 24
"""The same for written-out numbers: fewer are found by chance in addresses and times."""
CANARY = "kestrel-7Qx9Wv2Lm4Tz"
CLIENT_SECRET = "1secret0of2the3teller4client5and6nobody7else"
COOKIE = "session"
GET = "transactions/get"

Present: TypeAlias = Callable[[FakeUserPool], list[Header]]
Ask: TypeAlias = Callable[..., Answer]
Printed: TypeAlias = Callable[[], str]


# What must not be printed, and what is


class Secrets:
    """Hold texts no part of which may be printed; `known` are configured texts, which may."""

    def __init__(self, *texts: str, known: Iterable[str] = ()) -> None:
        self._windows: dict[int, set[str]] = {WINDOW: set(), DIGITS: set()}
        self._known = tuple(known)
        self.add(*texts)

    def add(self, *texts: str) -> None:
        """Keep these as well, and their base64 wherever in a segment it begins."""
        for text in texts:
            self._keep(text, *(_encoded(b"\0" * shift + text.encode())[4:-4] for shift in range(3)))

    def add_request(self, headers: Iterable[Header]) -> None:
        """Keep all that a request says: values as they stand there, and what the tokens in them hold."""
        for _, value in headers:
            self.add(value.decode("latin-1"))
            for segment in re.findall(rb"[\w-]{8,}", value):
                self.add(*_leaves(segment))

    def add_key(self, key: SigningKey) -> None:
        """Keep a key pair's numbers, in every way to write them."""
        private = key.private_key.private_numbers()
        for number in (private.public_numbers.n, private.d, private.p, private.q):
            octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
            self._keep(str(number), octets.hex(), octets.hex().upper(), window=DIGITS)
            self._keep(_encoded(octets), b64encode(octets).decode())

    def found_in(self, printed: str) -> set[str]:
        """Return what a text says that it must not."""
        return {found for size, secret in self._windows.items() for found in _windows(printed, size) & secret}

    def _keep(self, *spellings: str, window: int = WINDOW) -> None:
        for spelling in spellings:
            self._windows[window] |= _windows(spelling, window)
        for known in self._known:
            self._windows[window] -= _windows(known, window)


def _windows(text: str, size: int) -> set[str]:
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def _encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _leaves(segment: bytes) -> Iterator[str]:
    """Find every value in a segment of a token, if it is one."""
    with suppress(ValueError):
        ahead: list[Any] = [json.loads(urlsafe_b64decode(segment + b"=" * (-len(segment) % 4)))]
        while ahead:
            value = ahead.pop()
            if isinstance(value, dict | list):
                ahead += value.values() if isinstance(value, dict) else value
            else:
                yield str(value)


def links(error: BaseException) -> list[BaseException]:
    """Return an error and all that is behind it."""
    chain: list[BaseException] = []
    ahead: list[BaseException | None] = [error]
    while ahead:
        link = ahead.pop()
        if link is not None and link not in chain:
            chain.append(link)
            ahead += [link.__cause__, link.__context__]
    return chain


def shown(value: object) -> str:
    """Return all that an object shows of itself."""
    return f"{value} {value!r} {[value]}"


def told(error: BaseException) -> str:
    """Return all that an error shows: itself, its chain, their attributes, and what another process would get."""
    texts = ["".join(traceback.format_exception(error)), pickle.dumps(error).decode("latin-1")]
    for link in links(error):
        attributes = [name for name in dir(link) if not name.startswith("_")]
        texts += [shown(link), *(shown(getattr(link, name)) for name in attributes)]
    return "\n".join(texts)


@pytest.fixture
def printed(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Printed:
    """Return a function that returns all that was logged, at every level and by everybody, or written so far."""
    caplog.set_level(logging.DEBUG)
    usual = set(vars(logging.makeLogRecord({})))

    def read() -> str:
        more = [
            (record.args, {key: vars(record)[key] for key in vars(record).keys() - usual}) for record in caplog.records
        ]
        return "\n".join((caplog.text, repr(more), *capfd.readouterr()))

    return read


# Every refusal


def _values(template: str, **claims: Any) -> Present:
    """Present Authorization values, one a line; TOKEN stands for a token full of marked values."""
    return lambda pool: [
        (b"authorization", line.replace("TOKEN", marked(pool, **claims)).encode()) for line in template.splitlines()
    ]


def marked(pool: FakeUserPool, **options: Any) -> str:
    """Mint an access token whose every value that can be is a canary."""
    claims: dict[str, Any] = {
        "sub": f"sub-{CANARY}",
        "username": f"username-{CANARY}",
        "groups": [f"group-{CANARY}"],
        "origin_jti": f"origin-{CANARY}",
        "jti": f"jti-{CANARY}",
        "email": f"{CANARY}@example.com",
        "custom:nested": {f"name-{CANARY}": [f"value-{CANARY}"]},
        "header": {"jku": f"https://{CANARY}.example.com/keys"},
    }
    return pool.access_token(**(claims | options))


def _raw(payload: bytes) -> Present:
    return lambda pool: [bearer(pool.sign({"alg": "RS256", "kid": pool.access_key.kid}, payload))]


def _in_two_places(pool: FakeUserPool) -> list[Header]:
    return [bearer(marked(pool)), (b"cookie", f"{COOKIE}={marked(pool)}".encode())]


def _forged(pool: FakeUserPool) -> list[Header]:
    return [bearer(marked(FakeUserPool(clock=pool.clock), header={"kid": pool.access_key.kid}))]


def _aged(seconds: int, *claims: str) -> Present:
    """Present a token of which these times lie so long ago."""
    return lambda pool: [bearer(marked(pool, **dict.fromkeys(claims, int(pool.clock()) - seconds)))]


def _broken_fetch(uri: str, timeout: float) -> bytes:
    raise OSError(f"{CANARY} {uri} {timeout}")


class Revoked:
    """Hold everybody's token for revoked, or be broken."""

    def __init__(self, broken: bool = False) -> None:
        self._broken = broken

    def is_revoked(self, principal: Principal) -> bool:
        """Revoke, or fail with an error that quotes what it was asked."""
        if self._broken:
            raise LookupError(f"{principal.jwt_id} {principal.claims}")
        return True

    async def ais_revoked(self, principal: Principal) -> bool:
        """Do the same."""
        return self.is_revoked(principal)


@dataclass(frozen=True, slots=True)
class Case:
    """
    Hold what is refused.

    Attributes:
        present: makes the request's headers.
        requirement: what the operation requires.
        verifier: arguments of the verifier.
    """

    present: Present
    requirement: Requirement = Requires()  # noqa: RUF009  (frozen)
    verifier: Mapping[str, Any] = field(default_factory=dict[str, Any])


GOOD = _values("Bearer TOKEN")
REFUSED: Mapping[Reason, Case] = {
    Reason.MISSING_TOKEN: Case(_values(f"Basic {b64encode(CLIENT_SECRET.encode()).decode()}")),
    Reason.MALFORMED_HEADER: Case(_values(f"Bearer TOKEN {CANARY}")),
    Reason.REPEATED_HEADER: Case(_values(f"Basic {CANARY}\nBearer TOKEN")),
    Reason.SEVERAL_METHODS: Case(_in_two_places),
    Reason.MALFORMED_TOKEN: Case(_raw(b'{"sub": "%b", "sub": NaN}' % CANARY.encode())),
    Reason.OVERSIZED_TOKEN: Case(_values(f"Bearer TOKEN{CANARY * 1000}")),
    Reason.ENCRYPTED_TOKEN: Case(lambda pool: [bearer(pool.refresh_token())]),
    Reason.UNSUPPORTED_ALGORITHM: Case(_values("Bearer TOKEN", header={"alg": CANARY})),
    Reason.UNSUPPORTED_HEADER: Case(_values("Bearer TOKEN", header={"crit": [CANARY], "typ": CANARY})),
    Reason.UNKNOWN_KEY: Case(_values("Bearer TOKEN", header={"kid": CANARY})),
    Reason.INVALID_SIGNATURE: Case(_forged),
    Reason.MISSING_CLAIM: Case(_values("Bearer TOKEN", exp=ABSENT)),
    Reason.MALFORMED_CLAIM: Case(_values("Bearer TOKEN", exp=CANARY)),
    Reason.WRONG_ISSUER: Case(_values("Bearer TOKEN", issuer=f"https://{CANARY}.example.com")),
    Reason.WRONG_TOKEN_USE: Case(_values("Bearer TOKEN", token_use=CANARY)),
    Reason.WRONG_CLIENT: Case(_values("Bearer TOKEN", client_id=CANARY)),
    Reason.WRONG_AUDIENCE: Case(_values("Bearer TOKEN", audience=CANARY)),
    Reason.SENDER_CONSTRAINED: Case(_values("Bearer TOKEN", cnf={"jkt": CANARY})),
    Reason.EXPIRED: Case(_aged(60, "exp")),
    Reason.NOT_YET_VALID: Case(_aged(-60, "nbf")),
    Reason.ISSUED_IN_FUTURE: Case(_aged(-60, "iat")),
    Reason.TOO_OLD: Case(_aged(600, "iat"), verifier={"max_token_age": 60}),
    Reason.LIFETIME_TOO_LONG: Case(GOOD, verifier={"max_token_lifetime": 60}),
    Reason.REVOKED: Case(GOOD, verifier={"revocations": Revoked()}),
    Reason.STALE_AUTHENTICATION: Case(_aged(600, "auth_time"), Requires(max_age=60)),
    Reason.WEAK_AUTHENTICATION: Case(_values("Bearer TOKEN", acr=CANARY), Requires(acr="urn:two-factors")),
    Reason.INSUFFICIENT_SCOPE: Case(_values("Bearer TOKEN", scope=CANARY), Requires(scopes=GET)),
    Reason.GROUP_REQUIRED: Case(GOOD, Requires(groups="staff")),
    Reason.CLIENT_NOT_ALLOWED: Case(GOOD, Requires(client_id="another")),
    Reason.ACTOR_NOT_ALLOWED: Case(_values("Bearer TOKEN", act={"sub": CANARY}), Requires(actor="agent")),
    Reason.CLAIM_MISMATCH: Case(_values("Bearer TOKEN", tenant=CANARY), Requires(claims={"tenant": "acme"})),
    Reason.PREDICATE_REFUSED: Case(GOOD, Requires(predicate=lambda _: False)),
    Reason.EXCLUDED: Case(GOOD, ~Requires(client_id="1h57kf5cpq17m0eml12example")),
    Reason.KEYS_UNAVAILABLE: Case(GOOD, verifier={"fetch": _broken_fetch}),
    Reason.REVOCATIONS_UNAVAILABLE: Case(GOOD, verifier={"revocations": Revoked(broken=True)}),
}
EVERY_REASON = [pytest.param(reason, id=reason.value) for reason in REFUSED]
TOKEN_FROM = (header(), cookie(COOKIE), websocket_subprotocol())


def secrets_of(pool: FakeUserPool, headers: Iterable[Header] = ()) -> Secrets:
    """Return what a request of this pool's clients says, and the pool's keys, but for what everybody knows."""
    known = (pool.issuer, pool.client_id, pool.user_pool_id, GET, "access_token", "application/json")
    secrets = Secrets(CANARY, CLIENT_SECRET, known=known)
    secrets.add_key(pool.access_key)
    secrets.add_request(headers)
    return secrets


def test_every_reason_is_tried() -> None:
    """Whoever adds a reason adds a row; no user and no rule are no verifier's to find."""
    assert {*REFUSED, Reason.NO_USER, Reason.NOT_ADMITTED} == set(Reason)


@pytest.mark.parametrize("reason", EVERY_REASON)
def test_error_tells_nothing_of_the_request(reason: Reason, pool: FakeUserPool, call: Call, printed: Printed) -> None:
    """Neither the error nor anything behind it; nor does judging it log anything."""
    case = REFUSED[reason]
    guard = Guard(verifier=pool.verifier(**case.verifier), requirement=case.requirement, token_from=TOKEN_FROM)
    headers = case.present(pool)
    with pytest.raises(RefusalError) as raised:
        call(guard, "authenticate", headers)
    assert raised.value.reason is reason
    challenges = [guard.refuse(raised.value), challenge_for(raised.value, problem_details=True)]
    everything = f"{told(raised.value)} {printed()} {shown(guard.verifier)} {shown(guard)} {shown(challenges)}"
    assert secrets_of(pool, headers).found_in(everything) == set()


def test_what_is_looked_for_is_found(pool: FakeUserPool) -> None:
    """In an error's attributes and in the text of its cause, in other spellings and in parts."""
    token = marked(pool)
    secrets = secrets_of(pool, [bearer(token)])
    with pytest.raises(MissingTokenError) as raised:
        _raise_from(token)
    assert secrets.found_in(told(raised.value))
    for spelling in (token[100:120], token[-12:], CANARY[3:], _encoded(f"x{CANARY}".encode()), f"{pool.clock():.0f}"):
        assert secrets.found_in(spelling)
    number = pool.access_key.private_key.public_key().public_numbers().n
    for spelling in (f"{number}"[40:80], f"{number:x}"[40:80], pool.access_key.jwk()["n"][40:60]):
        assert secrets.found_in(spelling)
    assert not secrets.found_in(pool.issuer)


def _raise_from(token: str) -> None:
    try:
        json.loads(token)
    except ValueError as cause:
        raise MissingTokenError from cause


# The same through every adapter


def ask_pure_asgi(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Ask an application behind the ASGI middleware."""
    app = asgi_adapter.CognitoMiddleware(_never, verifier, requirement=requirement, **options)
    return ask_asgi(app, "GET", "/", headers)


def ask_pure_wsgi(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Ask an application behind the WSGI middleware."""
    app: Any = wsgi_adapter.CognitoMiddleware(_never, verifier, requirement=requirement, **options)
    return ask_wsgi(app, "GET", "/", headers)


def ask_starlette(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Ask an application behind Starlette's own middleware."""
    backend = starlette_adapter.CognitoBackend(verifier, **options)
    middleware = Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)
    app = Starlette(routes=[Route("/", starlette_adapter.requires(requirement)(_view))], middleware=[middleware])
    return ask_asgi(app, "GET", "/", headers)


def ask_fastapi(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Ask an application with a dependency."""
    guard = fastapi_adapter.CognitoBearer(verifier, **options)
    app = FastAPI(exception_handlers={fastapi_adapter.ChallengeError: fastapi_adapter.challenge_response})
    app.add_api_route("/", _never, dependencies=[Depends(guard.requires(requirement))])
    return ask_asgi(app, "GET", "/", headers)


def ask_flask(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Ask an application with a decorated view."""
    app = Flask(__name__)
    app.add_url_rule("/", "view", flask_adapter.CognitoGuard(app, verifier, **options).require(requirement)(_never))
    return ask_wsgi(app, "GET", "/", headers)


def ask_django(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Ask a site with the middleware and a decorated view."""
    with _site(cognito_required(requirement)(_view), [SESSIONS, CSRF, AUTHENTICATION, COGNITO], verifier, options):
        return ask_wsgi(WSGIHandler(), "GET", "/", headers)


def ask_async_django(
    verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any
) -> Answer:
    """Ask a site with an async decorated view."""
    with _site(cognito_required(requirement)(_aview), [], verifier, options):
        app: Any = ASGIHandler()
        return ask_asgi(app, "GET", "/", headers)


def ask_drf(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Ask a site with an authentication and a permission class."""

    class Guarded(APIView):
        authentication_classes = [drf_adapter.CognitoAuthentication]  # noqa: RUF012
        permission_classes = [drf_adapter.Meets(requirement)]  # noqa: RUF012
        get = _view

    with _site(Guarded.as_view(), [], verifier, options):
        return ask_wsgi(WSGIHandler(), "GET", "/", headers)


def ask_awslambda(verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any) -> Answer:
    """Invoke a decorated handler."""
    guarded = awslambda.CognitoGuard(verifier, **options).require(requirement)(_never)
    return LambdaDriver("lambda", {"/": guarded}).request("GET", "/", headers)


def ask_forward_auth(
    verifier: CognitoVerifier, requirement: Requirement, headers: list[Header], **options: Any
) -> Answer:
    """Ask as a proxy does, about a request with a token in its query string as well."""
    rules = [forward_auth.Rule(path="/", requirement=requirement)]
    app = forward_auth.ForwardAuth(verifier, proxy="nginx", rules=rules, **options)
    return _judged(app, b"GET", b"/?access_token=" + CANARY.encode(), headers)


def _judged(app: forward_auth.ForwardAuth, method: bytes, target: bytes, headers: list[Header]) -> Answer:
    told = [(b"x-original-method", method), (b"x-original-uri", target)]
    return ask_asgi(app, "GET", forward_auth.VERIFY, [*told, *headers])


def _site(view: Any, middleware: list[str], verifier: CognitoVerifier, options: dict[str, Any]) -> override_settings:
    ours = {"VERIFIER": verifier} | {name.upper(): value for name, value in options.items()}
    return override_settings(ROOT_URLCONF=(path("", view),), MIDDLEWARE=middleware, COGNITO_GUARD=ours)


def _never(*_: Any, **__: Any) -> Any:
    pytest.fail("was let through")


def _view(request: Any) -> Any:
    pytest.fail(f"was let through: {request!r}")


async def _aview(request: Any) -> Any:
    _view(request)


ADAPTERS: list[Any] = [
    pytest.param(ask, id=ask.__name__.removeprefix("ask_"))
    for ask in (
        ask_pure_asgi,
        ask_pure_wsgi,
        ask_starlette,
        ask_fastapi,
        ask_flask,
        ask_django,
        ask_async_django,
        ask_drf,
        ask_awslambda,
        ask_forward_auth,
    )
]


@pytest.mark.parametrize("reason", EVERY_REASON)
@pytest.mark.parametrize("ask", ADAPTERS)
def test_answer_and_log_tell_nothing_of_the_request(
    ask: Ask, reason: Reason, pool: FakeUserPool, printed: Printed
) -> None:
    """Neither in a header nor in the body, and nobody logs more than the reason: not the framework either."""
    case = REFUSED[reason]
    for problem_details in (False, True):
        headers = case.present(pool)
        verifier = pool.verifier(**case.verifier)
        answer = ask(verifier, case.requirement, headers, token_from=TOKEN_FROM, problem_details=problem_details)
        assert answer.status in {400, 401, 403, 503}
        assert secrets_of(pool, headers).found_in(f"{answer} {printed()}") == set()


@pytest.mark.parametrize("ask", [ask_django, ask_async_django, ask_drf])
def test_caller_without_a_user_is_not_quoted(ask: Ask, pool: FakeUserPool, printed: Printed) -> None:
    """Neither in the answer nor in the log."""

    def nobody(_: Principal) -> None:
        return None

    headers = [bearer(marked(pool))]
    answer = ask(pool.verifier(), Requires(), headers, user_resolver=nobody)
    assert answer.status == 403
    logged = printed()
    assert Reason.NO_USER in logged
    assert secrets_of(pool, headers).found_in(f"{answer} {logged}") == set()


@pytest.mark.parametrize(
    "method, target",
    [
        pytest.param("GET", f"/nowhere/{CANARY}?{CANARY}", id="no rule"),
        pytest.param("GET", f"/orders/{CANARY}//..%2f", id="a path with two readings"),
        pytest.param(f"GET {CANARY}", "/orders/", id="no method"),
        pytest.param("GET", f"{CANARY}\xff\0", id="no path"),
    ],
)
def test_request_that_no_rule_admits_is_not_quoted(
    method: str, target: str, pool: FakeUserPool, printed: Printed
) -> None:
    """Neither its path nor its method nor its headers, in answer and log."""
    app = forward_auth.ForwardAuth(pool.verifier(), proxy="nginx", rules=[forward_auth.Rule(path="/orders/")])
    headers = [bearer(marked(pool)), (b"x-auth-subject", CANARY.encode())]
    answer = _judged(app, method.encode(), target.encode("latin-1"), headers)
    assert answer.status == 403
    logged = printed()
    assert Reason.NOT_ADMITTED in logged
    assert secrets_of(pool, headers).found_in(f"{answer} {logged}") == set()


@pytest.mark.parametrize("reason", EVERY_REASON)
@pytest.mark.parametrize("extensions", [[], [DENIAL]], ids=["close", "denial response"])
def test_refused_websocket_tells_nothing_of_the_request(
    extensions: list[str], reason: Reason, pool: FakeUserPool, printed: Printed
) -> None:
    """Whether it is closed or answered; the token may stand among the subprotocols."""
    case = REFUSED[reason]
    headers = case.present(pool)
    if len(headers) == 1 and headers[0][1].startswith(b"Bearer "):
        headers = [(b"sec-websocket-protocol", headers[0][1].replace(b"Bearer ", b"bearer, "))]
    app = asgi_adapter.CognitoMiddleware(
        _never, pool.verifier(**case.verifier), requirement=case.requirement, token_from=TOKEN_FROM
    )
    sent = talk(app, handshake("/", *headers, extensions=extensions))
    assert sent[0]["type"] != "websocket.accept"
    assert secrets_of(pool, headers).found_in(f"{sent} {printed()}") == set()


def test_accepted_websocket_echoes_no_token(pool: FakeUserPool, printed: Printed) -> None:
    """The marker stands for the token, in the answer and in what the application sees of the subprotocols."""
    token = marked(pool)
    seen: list[Any] = []

    async def accept(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["subprotocols"])
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][-1]})
        await send({"type": "websocket.close", "code": 1000, "reason": ""})

    app = asgi_adapter.CognitoMiddleware(accept, pool.verifier(), token_from=TOKEN_FROM)
    offered = (b"sec-websocket-protocol", f"bearer, {token}".encode())
    sent = talk(app, handshake("/", offered, subprotocols=["bearer", token]))
    assert sent[0]["type"] == "websocket.accept"
    assert secrets_of(pool, [offered]).found_in(f"{sent} {seen} {printed()}") == set()


# Malformed tokens of every kind

HOSTILE: Mapping[str, bytes] = {
    "no JSON": b"{%b",
    "a string": b'"%b"',
    "an array": b'["%b"]',
    "more behind it": b'{"sub": "%b"} %b',
    "no UTF-8": b'{"sub": "%b\xff"}',
    "a member twice": b'{"%b": 1, "%b": 2}',
    "NaN": b'{"%b": NaN}',
    "an unknown constant": b'{"sub": %b}',
    "an escape that is none": b'{"sub": "\\%b"}',
    "a lone surrogate": b'{"sub": "%b\\ud800"}',
    "a control character": b'{"sub": "%b\n"}',
    "too deep": b'{"sub": ' + b"[" * 99 + b'"%b"' + b"]" * 99 + b"}",
    "much too deep": b'{"sub": "%b", "x": ' + b"[" * 5000,
    "a number that is too long": b'{"%b": ' + b"9" * 5000 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"sub": "%b"}',
}


@pytest.mark.parametrize("place", ["header", "payload"])
@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in HOSTILE.items()])
def test_malformed_token_is_not_quoted(content: bytes, place: str, pool: FakeUserPool) -> None:
    """The parsers' own errors hold and quote what they read; none of them is in the chain."""
    written = content.replace(b"%b", CANARY.encode())
    head: Any = written if place == "header" else {"alg": "RS256", "kid": pool.access_key.kid}
    token = pool.sign(head, {"sub": CANARY} if place == "header" else written)
    with pytest.raises(MalformedTokenError) as raised:
        pool.verifier().verify(token)
    assert Secrets(CANARY, token).found_in(told(raised.value)) == set()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=6), st.sampled_from([".", "", " ", "=", "ä", "\0"]))
def test_no_text_is_quoted(parts: list[bytes], joint: str) -> None:
    """Whatever stands where a token should; the canary is in it encoded and as it is."""
    pieces = [_encoded(part + CANARY.encode()) for part in parts]
    for token in (joint.join(pieces), f"{joint}{CANARY}{joint}{pieces[0]}", f"{pieces[0]}.{CANARY}.{pieces[-1]}"):
        with pytest.raises(MalformedTokenError) as raised:
            parse(token)
        assert Secrets(CANARY).found_in(told(raised.value)) == set()


# What a key endpoint says

FAULTS: Mapping[str, bytes] = {
    "no JSON": response(body=CANARY.encode()),
    "no UTF-8": response(body=CANARY.encode() + b"\xff"),
    "no list of keys": response(body=json.dumps({"keys": CANARY}).encode()),
    "no usable key": response(body=json.dumps({"keys": [{"kid": CANARY, "kty": CANARY, "n": CANARY}]}).encode()),
    "an error page": response("500 Internal Server Error", body=CANARY.encode()),
    "a reason phrase": response(f"500 {CANARY}"),
    "a redirect": response("302 Found", f"Location: https://{CANARY}.example.com/{CANARY}"),
    "a refusal": response("403 Forbidden", f"WWW-Authenticate: {CANARY}", body=CANARY.encode()),
    "a wait that is none": response("503 Service Unavailable", f"Retry-After: {CANARY}"),
    "an unknown coding": response("200 OK", f"Content-Encoding: {CANARY}"),
    "another protocol": f"{CANARY}\r\n\r\n".encode(),
    "a version of HTTP that is none": f"HTTP/{CANARY} 200 OK\r\n\r\n".encode(),
    "a status that is none": f"HTTP/1.1 {CANARY} OK\r\n\r\n".encode(),
    "a header that is none": f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n{CANARY}".encode(),
    "a length that is none": response("200 OK", f"Content-Length: {CANARY}", body=CANARY.encode(), length=None),
    "a body that is cut off": response(body=CANARY.encode(), length=999),
    "a chunk's size that is none": chunked(end=f"{CANARY}\r\n".encode()),
    "a chunk that is cut off": chunked(end=f"fff\r\n{CANARY}".encode()),
    "no end of headers": f"HTTP/1.1 200 OK\r\nX: {CANARY}\r\n".encode(),
}
FAULTY = [pytest.param(fault, id=name) for name, fault in FAULTS.items()]
PATIENT = RefreshSchedule(deadline=30.0)


@pytest.mark.parametrize("fault", FAULTY)
def test_failed_fetch_of_keys_is_not_quoted(fault: bytes, pool: FakeUserPool, call: Call, printed: Printed) -> None:
    """Neither in the error that callers see, nor in the log, nor in the verifier."""
    with ScriptedServer(answer(fault)) as server:
        verifier = pool.verifier(jwks_uri=f"{server.url}/jwks.json", allow_insecure_http=True, schedule=PATIENT)
        for method, arguments in (("verify", (marked(pool),)), ("prefetch", ())):
            with pytest.raises(UnavailableError) as raised:
                call(verifier, method, *arguments)
            assert secrets_of(pool).found_in(f"{told(raised.value)} {shown(verifier)} {printed()}") == set()
    assert server.connections == 1


@pytest.mark.parametrize("fault", FAULTY)
def test_failed_fetch_is_not_quoted(fault: bytes) -> None:
    """Nor in the error that whoever calls HTTPSFetch sees, and what is behind that."""
    with ScriptedServer(answer(fault)) as server, pytest.raises((FetchError, InvalidKeySetError)) as raised:
        KeySet.from_json(HTTPSFetch()(f"{server.url}/jwks.json", PATIENT.deadline))
    assert Secrets(CANARY).found_in(told(raised.value)) == set()


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(f"http://user:{CANARY}@127.0.0.1:PORT", id="refuses"),
        pytest.param(f"ftp://user:{CANARY}@127.0.0.1:PORT", id="is of another kind"),
        pytest.param(f"http://user:{CANARY}/@127.0.0.1:PORT", id="has a slash in the password"),
        pytest.param(f"http://user:{CANARY}@[127.0.0.1:PORT", id="can't be read"),
    ],
)
def test_proxys_password_is_not_shown(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's URL of a proxy may hold one; it goes to the proxy and nowhere else."""
    with ScriptedServer(answer(response(f"407 {CANARY}", f"Proxy-Authenticate: {CANARY}"))) as server:
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("PORT", str(server.port)))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(FetchError) as raised:
            HTTPSFetch()("https://cognito-idp.eu-west-1.amazonaws.com/jwks.json", PATIENT.deadline)
    assert Secrets(CANARY).found_in(told(raised.value)) == set()


# Settings


def _private_jwks() -> dict[str, Any]:
    key = FakeUserPool().access_key
    numbers = key.private_key.private_numbers()
    return {"keys": [{**key.jwk(), "d": _encoded(numbers.d.to_bytes(256, "big"))}]}


WRONG: Mapping[str, Callable[[], object]] = {
    "a client secret among the settings": lambda: CognitoVerifier.from_mapping({"CLIENT_SECRET": CANARY}),
    "a client secret among Flask's": lambda: flask_adapter.CognitoGuard(_flask(COGNITO_CLIENT_SECRET=CANARY)),
    "a client secret among Django's": lambda: _django(USER_POOL_ID="eu-west-1_A", CLIENT_ID="a", CLIENT_SECRET=CANARY),
    "a client secret beside Django's verifier": lambda: _django(VERIFIER=FakeUserPool().verifier(), SECRET=CANARY),
    "a password in the JWKS URI": lambda: _verifier(jwks_uri=f"https://user:{CANARY}@example.com/jwks.json"),
    "a password in the issuer": lambda: _verifier(issuer=f"https://user:{CANARY}@example.com/pool"),
    "a signed JWKS URI": lambda: _verifier(jwks_uri=f"https://example.com/jwks.json?X-Amz-Signature={CANARY}"),
    "a password in the environment": lambda: CognitoVerifier.from_env(
        environ={
            "COGNITO_USER_POOL_ID": "eu-west-1_A",
            "COGNITO_CLIENT_ID": "a",
            "COGNITO_JWKS_URI": f"https://user:{CANARY}@example.com",
        }
    ),
    "a password in a resource": lambda: ProtectedResource(
        f"https://u:{CANARY}@a.b", authorization_servers="https://a.b"
    ),
    "a private key": lambda: _verifier(jwks=_private_jwks()),
    "a shared secret for a key": lambda: _verifier(jwks={"keys": [{"kty": "oct", "kid": "a", "k": CANARY}]}),
    "the text of a key set": lambda: _verifier(jwks=CANARY),
    "a key set that is none": lambda: _verifier(jwks={"keys": CANARY}),
    "a secret that Cognito would not take": lambda: AppClient(client_secret=f"{CANARY}!"),
}


def _verifier(**options: Any) -> CognitoVerifier:
    return CognitoVerifier("eu-west-1_A", client_id="a", **options)


def _flask(**config: Any) -> Flask:
    app = Flask(__name__)
    app.config |= {"COGNITO_USER_POOL_ID": "eu-west-1_A", "COGNITO_CLIENT_ID": "a", **config}
    return app


def _django(**ours: Any) -> object:
    with override_settings(COGNITO_GUARD=ours):
        return CognitoMiddleware(_never)


@pytest.mark.parametrize("build", [pytest.param(build, id=name) for name, build in WRONG.items()])
def test_wrong_setting_shows_no_secret(build: Callable[[], object]) -> None:
    """The error names the setting and what was expected; what stands there may be a secret in the wrong place."""
    with pytest.raises(ConfigurationError) as raised:
        build()
    secrets = Secrets(CANARY)
    for jwk in _private_jwks()["keys"]:
        secrets.add(jwk["n"], jwk["d"])
    assert secrets.found_in(told(raised.value)) == set()


# What objects show of themselves


@pytest.fixture
def secretive() -> FakeUserPool:
    """Return a pool with a client that has a secret."""
    teller = AppClient(client_id="teller", client_secret=CLIENT_SECRET, scopes=(GET,))
    servers = [ResourceServer("transactions", {"get": "Read"})]
    return FakeUserPool(clients=[teller], resource_servers=servers, clock=FakeClock())


def caller(pool: FakeUserPool) -> Principal:
    """Return a principal full of marked values."""
    return pool.verifier().verify(marked(pool, act={"sub": CANARY, "act": {"sub": CANARY}}))


def fetched(pool: FakeUserPool) -> CognitoVerifier:
    """Return a verifier that holds keys, and whatever it remembers of a token."""
    verifier = pool.verifier()
    verifier.verify(marked(pool))
    return verifier


def refused(reason: Reason) -> Callable[[FakeUserPool], RefusalError]:
    """Return what makes the error of a refusal."""

    def refuse(pool: FakeUserPool) -> RefusalError:
        case = REFUSED[reason]
        guard = Guard(verifier=pool.verifier(**case.verifier), requirement=case.requirement, token_from=TOKEN_FROM)
        try:
            guard.authenticate(case.present(pool))
        except RefusalError as error:
            return error
        pytest.fail("was let through")

    return refuse


def challenge(pool: FakeUserPool) -> Any:
    """Return an answer."""
    return challenge_for(refused(Reason.INSUFFICIENT_SCOPE)(pool), realm="orders")


def revoked(pool: FakeUserPool) -> object:
    """Return revocations that hold marked names."""
    principal, revocations = caller(pool), RevocationList()
    revocations.revoke_token(pool.user_pool_id, str(principal.jwt_id))
    revocations.revoke_user(pool.user_pool_id, principal.subject)
    return revocations


def entered(pool: FakeUserPool) -> object:
    """Return what Starlette's users find in a request."""
    scope = connection()
    enter(scope, Guard(verifier=fetched(pool)), caller(pool))
    return [scope["auth"], scope["user"]]


def signed_in(pool: FakeUserPool) -> list[object]:
    """Return who has signed in at a load balancer, and its verifier."""
    balancer = FakeLoadBalancer(pool)
    verifier = balancer.verifier()
    return [verifier.verify(balancer.data(sub=CANARY, email=f"{CANARY}@example.com")), verifier]


def identified(pool: FakeUserPool) -> list[object]:
    """Return an identity pool's identity, and its verifier."""
    identities = FakeIdentityPool(clock=pool.clock)
    verifier = identities.verifier()
    token = identities.token(providers=["login.example", f"login.example:{CANARY}"], tags={CANARY: CANARY})
    return [verifier.verify(token), verifier]


def asserted(**context: object) -> dict[str, Any]:
    """Return an event in which a REST API asserts something."""
    return {"requestContext": context}


def gateway_identity(_: FakeUserPool) -> object:
    """Return an identity that a REST API asserts."""
    provider = "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1"
    identity = {
        "cognitoIdentityId": CANARY,
        "cognitoIdentityPoolId": "eu-west-1:p",
        "cognitoAuthenticationType": "authenticated",
        "cognitoAuthenticationProvider": f"{provider},{provider}:CognitoSignIn:{CANARY}",
    }
    return awslambda.gateway_identity(asserted(identity=identity))


SHOWN: Mapping[object, Callable[[FakeUserPool], object]] = {
    Actor: lambda pool: caller(pool).actor,
    cognito_guard.Challenge: challenge,
    CognitoVerifier: fetched,
    ConfigurationError: lambda _: _caught(lambda: CognitoVerifier.from_mapping({"CLIENT_SECRET": CLIENT_SECRET})),
    ExpiredTokenError: refused(Reason.EXPIRED),
    FetchError: lambda _: FetchError("the key endpoint answered 500", retry_after=1.0),
    HTTPSFetch: lambda _: HTTPSFetch(),
    ImmatureTokenError: refused(Reason.NOT_YET_VALID),
    RevocationList: revoked,
    RevokedTokenError: refused(Reason.REVOKED),
    InsufficientScopeError: refused(Reason.INSUFFICIENT_SCOPE),
    InvalidClaimError: refused(Reason.MALFORMED_CLAIM),
    InvalidRequestError: refused(Reason.MALFORMED_HEADER),
    InvalidSignatureError: refused(Reason.INVALID_SIGNATURE),
    MalformedTokenError: refused(Reason.MALFORMED_TOKEN),
    MissingTokenError: refused(Reason.MISSING_TOKEN),
    Principal: caller,
    ProtectedResource: lambda pool: ProtectedResource("https://a.example", authorization_servers=pool.issuer),
    Reason: lambda _: list(Reason),
    RefreshSchedule: lambda _: RefreshSchedule(),
    RequirementNotMetError: refused(Reason.GROUP_REQUIRED),
    Requires: lambda _: Requires(scopes=GET) & Requires(groups="staff") | ~Requires(max_age=60),
    ResourceServer: lambda _: ResourceServer("transactions", {"get": "Read"}),
    StepUpRequiredError: refused(Reason.STALE_AUTHENTICATION),
    UnavailableError: refused(Reason.KEYS_UNAVAILABLE),
    UnknownKeyError: refused(Reason.UNKNOWN_KEY),
    UnsupportedAlgorithmError: refused(Reason.UNSUPPORTED_ALGORITHM),
    UserPool: lambda pool: pool.verifier().user_pool,
    websocket_subprotocol: lambda _: websocket_subprotocol(),
    asgi_adapter.CognitoMiddleware: lambda pool: asgi_adapter.CognitoMiddleware(_never, fetched(pool)),
    wsgi_adapter.CognitoMiddleware: lambda pool: wsgi_adapter.CognitoMiddleware(_never, fetched(pool)),
    starlette_adapter.CognitoBackend: lambda pool: starlette_adapter.CognitoBackend(fetched(pool)),
    starlette_adapter.ChallengeError: lambda pool: starlette_adapter.ChallengeError(challenge(pool)),
    fastapi_adapter.CognitoBearer: lambda pool: fastapi_adapter.CognitoBearer(fetched(pool)),
    fastapi_adapter.ChallengeError: lambda pool: fastapi_adapter.ChallengeError(challenge(pool)),
    flask_adapter.CognitoGuard: lambda pool: flask_adapter.CognitoGuard(Flask(__name__), fetched(pool)),
    flask_adapter.RefusedRequest: lambda pool: flask_adapter.RefusedRequest(challenge(pool)),
    CognitoMiddleware: lambda _: CognitoMiddleware(_never),
    CognitoBackend: lambda _: CognitoBackend(),
    CognitoUser: lambda pool: [CognitoUser(caller(pool))],
    drf_adapter.CognitoAuthentication: lambda _: drf_adapter.CognitoAuthentication(),
    drf_adapter.ChallengeError: lambda pool: drf_adapter.ChallengeError(challenge(pool)),
    drf_adapter.CognitoPermission: lambda _: drf_adapter.CognitoPermission(),
    drf_adapter.HasRequiredScopes: lambda _: drf_adapter.HasRequiredScopes(),
    alb.ALBPrincipal: lambda pool: signed_in(pool)[0],
    alb.ALBVerifier: lambda pool: signed_in(pool)[1],
    identity_pool.IdentityPrincipal: lambda pool: identified(pool)[0],
    identity_pool.IdentityPoolVerifier: lambda pool: identified(pool)[1],
    awslambda.Asserted: lambda _: list(awslambda.Asserted),
    awslambda.CognitoGuard: lambda pool: awslambda.CognitoGuard(fetched(pool)),
    awslambda.GatewayCaller: lambda _: awslambda.gateway_caller(asserted(authorizer={"claims": {"sub": CANARY}})),
    awslambda.GatewayIdentity: gateway_identity,
    awslambda.HttpAuthorizer: lambda pool: awslambda.HttpAuthorizer(fetched(pool)),
    awslambda.RestAuthorizer: lambda pool: awslambda.RestAuthorizer(fetched(pool)),
    awslambda.UnauthorizedError: lambda _: awslambda.UnauthorizedError(),
    forward_auth.ForwardAuth: lambda pool: forward_auth.ForwardAuth(
        fetched(pool), proxy="nginx", rules=[forward_auth.Rule(path="/")]
    ),
    forward_auth.IdentityHeaders: lambda _: forward_auth.IdentityHeaders(),
    forward_auth.Rule: lambda _: forward_auth.Rule(path="/"),
    # Not exported, and still met by users.
    Credentials: entered,
    Guard: lambda pool: Guard(verifier=fetched(pool), token_from=TOKEN_FROM),
    Key: lambda pool: KeySet.from_document(pool.jwks).by_kid[pool.access_key.kid],
    KeySet: lambda pool: KeySet.from_document(pool.jwks),
    FakeUserPool: lambda pool: pool,
    AppClient: lambda pool: list(pool.clients.values()),
    SigningKey: lambda pool: [pool.access_key, pool.id_key],
}
MODULES = (
    *("alb", "asgi", "awslambda", "django", "drf", "fastapi", "flask", "forward_auth", "identity_pool", "starlette"),
    "wsgi",
)
NEVER_MADE = {
    cognito_guard.Verifier,
    cognito_guard.AuthenticationError,
    cognito_guard.AuthorizationError,
    cognito_guard.CognitoGuardError,
    cognito_guard.InvalidTokenError,
    RefusalError,
    Requirement,
    cognito_guard.Fetch,
    cognito_guard.Revocations,
    CognitoRequest,
    OptionalCognitoRequest,
}
"""Roots of trees, protocols, and names for type checkers alone."""


def _caught(build: Callable[[], object]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        build()
    return raised.value


@pytest.mark.parametrize(
    "make", [pytest.param(make, id=getattr(made, "__qualname__", "")) for made, make in SHOWN.items()]
)
def test_object_shows_no_secret(make: Callable[[FakeUserPool], object], secretive: FakeUserPool) -> None:
    """Neither a token's claims nor a key nor a client's secret; kinds, counts and configured names are enough."""
    secrets = secrets_of(secretive)
    secrets.add_key(secretive.id_key)
    made = make(secretive)
    assert secrets.found_in(told(made) if isinstance(made, CognitoGuardError) else shown(made)) == set()


def test_every_public_class_is_looked_at() -> None:
    """Whoever exports a class adds a row."""
    modules = [cognito_guard, *(import_module(f"cognito_guard.{name}") for name in MODULES)]
    exported = {
        value
        for module in modules
        for name, value in vars(module).items()
        if isclass(value)
        and value.__module__.startswith(module.__name__)
        and not name.startswith("_")
        and name in getattr(module, "__all__", [name])
    }
    assert {value.__qualname__ for value in exported - set(SHOWN) - NEVER_MADE} == set()


def test_user_is_called_by_its_name_and_shown_without(secretive: FakeUserPool) -> None:
    """Django prints a user by `str`, in templates and its admin; logs of objects show the other form."""
    user = CognitoUser(caller(secretive))
    assert str(user) == f"username-{CANARY}"
    assert secrets_of(secretive).found_in(repr(user)) == set()


def pickled(principal: Principal) -> Principal:
    """Return what another process would get."""
    restored: Principal = pickle.loads(pickle.dumps(principal))  # noqa: S301
    return restored


COPIES: Mapping[str, Callable[[Principal], Principal]] = {
    "copied": copy.copy,
    "copied to the last leaf": copy.deepcopy,
    "pickled": pickled,
}


@pytest.mark.parametrize("copied", [pytest.param(copied, id=name) for name, copied in COPIES.items()])
def test_copy_of_a_principal_is_the_principal(copied: Callable[[Principal], Principal], pool: FakeUserPool) -> None:
    """Equal, as immutable and as quiet; a task queue may carry it, and carries the claims with it."""
    principal = caller(pool)
    other = copied(principal)
    assert (other, other.claims, hash(other)) == (principal, principal.claims, hash(principal))
    with pytest.raises(AttributeError, match="immutable"):
        other.subject = "another"  # type: ignore[misc]
    assert secrets_of(pool).found_in(shown(other)) == set()


def test_pickled_principal_is_no_login(pool: FakeUserPool) -> None:
    """Its claims are personal data, but nothing of the token's text is in it: whoever reads it can't call anybody."""
    token = marked(pool)
    secrets = Secrets()
    secrets.add(*token.split("."))
    written = pickle.dumps(pool.verifier().verify(token))
    assert CANARY.encode() in written
    assert secrets.found_in(written.decode("latin-1")) == set()
