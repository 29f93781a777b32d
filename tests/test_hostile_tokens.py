"""Every hostile token against the verifier and the middlewares: the exact verdict, in silence, without a storm."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from adapters import BAD_TOKEN, EXPIRED, NOT_ONE_TOKEN, Answer, Probe, aask, ask, bearer
from adapters.contract import ask_wsgi
from conftest import Call

from cognito_guard import (
    CognitoVerifier,
    ExpiredTokenError,
    ImmatureTokenError,
    InvalidClaimError,
    InvalidSignatureError,
    MalformedTokenError,
    Principal,
    Reason,
    RefreshSchedule,
    RefusalError,
    UnavailableError,
    UnknownKeyError,
    UnsupportedAlgorithmError,
    asgi,
    wsgi,
)
from cognito_guard.testing import FakeClock, FakeUserPool, HostileToken, hostile_tokens

POOL = FakeUserPool(clock=FakeClock())
CATALOGUE = hostile_tokens(POOL)
GOOD = [entry for entry in CATALOGUE if entry.reason is None]
SENDABLE = [entry for entry in CATALOGUE if entry.sendable]

ERRORS: dict[Reason, type[RefusalError]] = {
    Reason.MALFORMED_TOKEN: MalformedTokenError,
    Reason.OVERSIZED_TOKEN: MalformedTokenError,
    Reason.ENCRYPTED_TOKEN: MalformedTokenError,
    Reason.UNSUPPORTED_HEADER: MalformedTokenError,
    Reason.UNSUPPORTED_ALGORITHM: UnsupportedAlgorithmError,
    Reason.UNKNOWN_KEY: UnknownKeyError,
    Reason.INVALID_SIGNATURE: InvalidSignatureError,
    Reason.EXPIRED: ExpiredTokenError,
    Reason.NOT_YET_VALID: ImmatureTokenError,
    Reason.ISSUED_IN_FUTURE: ImmatureTokenError,
    Reason.MISSING_CLAIM: InvalidClaimError,
    Reason.MALFORMED_CLAIM: InvalidClaimError,
    Reason.WRONG_ISSUER: InvalidClaimError,
    Reason.WRONG_TOKEN_USE: InvalidClaimError,
    Reason.WRONG_CLIENT: InvalidClaimError,
    Reason.WRONG_AUDIENCE: InvalidClaimError,
    Reason.SENDER_CONSTRAINED: InvalidClaimError,
}
# No key is looked for before these are said.
BEFORE_KEYS = {
    Reason.MALFORMED_TOKEN,
    Reason.OVERSIZED_TOKEN,
    Reason.ENCRYPTED_TOKEN,
    Reason.UNSUPPORTED_HEADER,
    Reason.UNSUPPORTED_ALGORITHM,
    Reason.WRONG_ISSUER,
}
BEFORE_POLICY = BEFORE_KEYS | {
    Reason.UNKNOWN_KEY,
    Reason.INVALID_SIGNATURE,
    Reason.MISSING_CLAIM,
    Reason.MALFORMED_CLAIM,
}
PIECE = 12


@pytest.fixture(scope="module", params=[pytest.param(4096, id="remembering"), pytest.param(0, id="forgetting")])
def verifier(request: pytest.FixtureRequest) -> CognitoVerifier:
    """Return one verifier for all, with and without the cache: what a token leaves behind is of no use to the next."""
    return POOL.verifier(token_cache_size=request.param)


def verdict(verifier: CognitoVerifier, token: str) -> Reason | None:
    """Return why a token is refused, or None."""
    try:
        verifier.verify(token)
    except RefusalError as error:
        return error.reason
    return None


async def averdict(verifier: CognitoVerifier, token: str) -> Reason | None:
    """Return the same as `verdict`, on an event loop."""
    try:
        await verifier.averify(token)
    except RefusalError as error:
        return error.reason
    return None


def is_judged_before_keys(entry: HostileToken) -> bool:
    """Tell whether a token's text, header and issuer alone condemn it."""
    return entry.reason in BEFORE_KEYS or entry.name.startswith("claim-iss-")


def pieces(text: str) -> Iterator[str]:
    """Yield every piece of a text that is long enough to tell where it comes from."""
    return (text[start : start + PIECE] for start in range(len(text) - PIECE + 1))


def printed(error: BaseException) -> str:
    """Return all that Python shows of an error and what is behind it."""
    attributes = [f"{name}={value!r}" for name, value in vars(error).items()]
    return "\n".join([str(error), repr(error), *attributes, *traceback.format_exception(error)])


@pytest.mark.parametrize("entry", CATALOGUE, ids=str)
def test_hostile_token_gets_its_exact_verdict(entry: HostileToken, verifier: CognitoVerifier, call: Call) -> None:
    """The reason and the class of every refusal are fixed, and whatever is odd but good is accepted."""
    if entry.reason is None:
        principal = call(verifier, "verify", entry.token)
        assert isinstance(principal, Principal)
        assert principal.client_id == POOL.client_id
        return
    with pytest.raises(RefusalError) as caught:
        call(verifier, "verify", entry.token)
    assert caught.value.reason is entry.reason
    assert type(caught.value) is ERRORS[entry.reason]
    assert not caught.value.retryable


@pytest.mark.parametrize("entry", [entry for entry in CATALOGUE if entry.reason], ids=str)
def test_refusal_carries_no_text_of_the_token(entry: HostileToken, verifier: CognitoVerifier) -> None:
    """Neither the error nor its causes nor their attributes show a piece of the token, its key ID or its claims."""
    with pytest.raises(RefusalError) as caught:
        verifier.verify(entry.token)
    # A traceback shows lines of source, of this file as well: what it says beside them is what counts.
    shown = re.sub(r"(?m)^    .*$", "", printed(caught.value))
    assert [piece for piece in pieces(shown) if piece in entry.token] == []
    assert POOL.access_key.kid not in shown
    assert POOL.subject("jane") not in shown
    assert "attacker" not in shown


@pytest.mark.parametrize(
    "name, reason",
    [
        pytest.param("recipient-id-token", None, id="an ID token is what is asked for"),
        pytest.param("recipient-id-token-of-a-group", None, id="one with groups"),
        pytest.param("recipient-id-token-with-scopes", None, id="one with scopes"),
        pytest.param("recipient-use-id-in-an-access-token", Reason.MISSING_CLAIM, id="an ID token has an audience"),
        pytest.param("recipient-use-id", Reason.MISSING_CLAIM, id="whoever says to be one must be one"),
        pytest.param("claim-genuine", Reason.WRONG_TOKEN_USE, id="an access token"),
        pytest.param("recipient-machine", Reason.WRONG_TOKEN_USE, id="a machine's token"),
        pytest.param("recipient-audience-of-our-client", Reason.WRONG_TOKEN_USE, id="an access token for our client"),
        pytest.param("recipient-use-refresh", Reason.WRONG_TOKEN_USE, id="neither kind"),
        pytest.param("claim-client-id-missing", Reason.WRONG_TOKEN_USE, id="an access token without client"),
        pytest.param("claim-aud-null", Reason.WRONG_TOKEN_USE, id="an access token with no sound audience"),
        pytest.param("claim-sub-missing", Reason.MISSING_CLAIM, id="nobody's token"),
        pytest.param("time-expired-a-day-ago", Reason.WRONG_TOKEN_USE, id="an access token that is over"),
    ],
)
def test_verifier_of_id_tokens_turns_the_tables(name: str, reason: Reason | None, call: Call) -> None:
    """With `token_use="id"` ID tokens are good, and access tokens are the confusion."""
    token = next(entry.token for entry in CATALOGUE if entry.name == name)
    verifier = POOL.verifier(token_use="id")
    if reason is None:
        assert call(verifier, "verify", token).token_use == "id"
        return
    with pytest.raises(InvalidClaimError) as caught:
        call(verifier, "verify", token)
    assert caught.value.reason is reason


def test_verifier_of_id_tokens_accepts_no_other_token() -> None:
    """What is wrong before the policy is wrong for both kinds; and no access token is ever good."""
    verifier = POOL.verifier(token_use="id")
    verdicts = {entry: verdict(verifier, entry.token) for entry in CATALOGUE}
    assert {entry.name for entry, reason in verdicts.items() if reason is None} == {
        "recipient-id-token",
        "recipient-id-token-of-a-group",
        "recipient-id-token-with-scopes",
    }
    early = {entry.name: reason for entry, reason in verdicts.items() if entry.reason in BEFORE_POLICY}
    late = {name: early.pop(name) for name in list(early) if name.startswith("claim-aud-")}
    late["claim-client-id-missing"] = early.pop("claim-client-id-missing")
    assert early == {entry.name: entry.reason for entry in CATALOGUE if entry.name in early}
    assert set(late.values()) == {Reason.WRONG_TOKEN_USE}


def test_verifier_of_both_uses_knows_no_confusion() -> None:
    """With both uses allowed, the ID tokens turn good and nothing else changes but for what says to be one."""
    verifier = POOL.verifier(token_use=("access", "id"))
    verdicts = {entry: verdict(verifier, entry.token) for entry in CATALOGUE}
    changed = {entry.name: reason for entry, reason in verdicts.items() if reason is not entry.reason}
    assert changed == {
        "recipient-id-token": None,
        "recipient-id-token-of-a-group": None,
        "recipient-id-token-with-scopes": None,
        "recipient-use-id": Reason.MISSING_CLAIM,
        "recipient-use-id-but-typ-of-access": Reason.MISSING_CLAIM,
        "recipient-use-id-in-an-access-token": Reason.MISSING_CLAIM,
    }


def test_stricter_settings_accept_less_and_refuse_for_the_same_reasons() -> None:
    """A bound on age and lifetime turns good tokens away, and lets nothing in."""
    verifier = POOL.verifier(max_token_age=3600, max_token_lifetime=86_400, resource="https://api.example.com")
    verdicts = {entry: verdict(verifier, entry.token) for entry in CATALOGUE}
    assert [entry.name for entry, reason in verdicts.items() if reason is None and entry.reason is not None] == []
    changed = {entry.name: reason for entry, reason in verdicts.items() if reason is not entry.reason}
    assert changed["time-issued-in-1970"] is Reason.TOO_OLD
    assert changed["time-without-end"] is Reason.LIFETIME_TOO_LONG
    assert set(changed.values()) == {Reason.TOO_OLD, Reason.LIFETIME_TOO_LONG}


def expected(entry: HostileToken) -> Answer:
    """Return the refusal of a token, as it stands on the wire."""
    return EXPIRED if entry.reason is Reason.EXPIRED else BAD_TOKEN


def test_asgi_middleware_answers_each_hostile_token_alike(caplog: pytest.LogCaptureFixture) -> None:
    """401 with one of two challenges, byte for byte; the log tells the reason and nothing of the token."""
    caplog.set_level(logging.DEBUG)
    probe = Probe()
    app = asgi.CognitoMiddleware(probe, POOL.verifier())

    async def ask_all() -> dict[HostileToken, tuple[Answer, bool]]:
        answers: dict[HostileToken, tuple[Answer, bool]] = {}
        for entry in SENDABLE:
            served = len(probe.scopes)
            answers[entry] = await aask(app, "/", bearer(entry.token)), len(probe.scopes) > served
        return answers

    answers = asyncio.run(ask_all())
    good = {entry: (given.status, reached) for entry, (given, reached) in answers.items() if entry.reason is None}
    assert set(good.values()) == {(200, True)}
    bad = {entry: given for entry, given in answers.items() if entry.reason is not None}
    assert [entry.name for entry, (given, reached) in bad.items() if given != expected(entry) or reached] == []
    logged = [getattr(record, "reason", None) for record in caplog.records if record.name == "cognito_guard"]
    assert logged == [str(entry.reason) for entry in bad]
    text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("cognito_guard"))
    assert [entry.name for entry in bad if any(piece in entry.token for piece in set(pieces(text)))] == []


def test_wsgi_middleware_answers_each_hostile_token_alike() -> None:
    """The same answers as over ASGI."""
    reached: list[WSGIEnvironment] = []

    def handler(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        reached.append(environ)
        start_response("200 OK", [])
        return [b"in"]

    app: Any = wsgi.CognitoMiddleware(handler, POOL.verifier())
    wrong: list[str] = []
    for entry in SENDABLE:
        given = ask_wsgi(app, "GET", "/", [bearer(entry.token)])
        if entry.reason is None:
            is_right = given.status == 200 and given.body == b"in"
        else:
            wanted = expected(entry)
            challenge = dict(wanted.headers)[b"www-authenticate"].decode()
            is_right = (given.status, given.challenges, given.body) == (wanted.status, [challenge], wanted.body)
        if not is_right:
            wrong.append(entry.name)
    assert wrong == []
    assert len(reached) == sum(entry.reason is None for entry in SENDABLE)


def test_token_that_no_client_should_send_is_refused_by_the_middleware_all_the_same() -> None:
    """A raw client can send any latin-1 text: only a genuine token gets in, with or without blanks around it."""
    good = {entry.token for entry in GOOD}
    probe = Probe()
    app = asgi.CognitoMiddleware(probe, POOL.verifier())
    asked = 0
    for entry in CATALOGUE:
        try:
            header = bearer(entry.token)
        except UnicodeEncodeError:
            continue
        if not entry.sendable:
            given = ask(app, "/", header)
            asked += 1
            is_good = entry.token.strip(" \t") in good
            assert given.status == 200 if is_good else given in (BAD_TOKEN, NOT_ONE_TOKEN), entry.name
    assert asked >= 15
    assert len(probe.scopes) < asked


class CountedFetch:
    """A key endpoint that counts who asks."""

    def __init__(self, fetch: Callable[[str, float], bytes]) -> None:
        self._fetch = fetch
        self.uris: list[str] = []

    def __call__(self, uri: str, timeout: float) -> bytes:
        """Return the key set as published now, or fail."""
        self.uris.append(uri)
        return self._fetch(uri, timeout)


def _out_of_reach(uri: str, timeout: float) -> bytes:
    raise OSError("no route to host")


def test_token_that_is_judged_before_keys_causes_no_fetch(call: Call) -> None:
    """Keys are out of reach, and nobody notices: whoever can be refused without them is."""
    fetch = CountedFetch(_out_of_reach)
    verifier = POOL.verifier(fetch=fetch, timer=FakeClock())
    early = [entry for entry in CATALOGUE if is_judged_before_keys(entry)]
    assert len(early) >= 300
    for entry in early:
        with pytest.raises(ERRORS[entry.reason or Reason.MALFORMED_TOKEN]) as caught:
            call(verifier, "verify", entry.token)
        assert caught.value.reason is entry.reason
    assert fetch.uris == []


def test_token_that_needs_keys_out_of_reach_is_nobodys_fault(call: Call) -> None:
    """503 and not 401 for the rest of the catalogue, and one failed attempt at each endpoint for all of it."""
    fetch = CountedFetch(_out_of_reach)
    verifier = POOL.verifier(fetch=fetch, timer=FakeClock())
    for entry in CATALOGUE:
        if not is_judged_before_keys(entry):
            with pytest.raises(UnavailableError):
                call(verifier, "verify", entry.token)
    assert 1 <= len(fetch.uris) <= len(verifier.user_pool.issuers)
    assert set(fetch.uris) <= set(verifier.user_pool.jwks_uris.values())


def test_whole_catalogue_costs_no_more_fetches_than_the_bucket() -> None:
    """Dozens of invented key IDs: the first fetch brings the keys, and the bucket bounds the rest."""
    fetch = CountedFetch(POOL.fetch)
    verifier = POOL.verifier(fetch=fetch, timer=FakeClock())
    assert {entry.name for entry in CATALOGUE if verdict(verifier, entry.token) is not entry.reason} == set()
    assert sum(entry.reason is Reason.UNKNOWN_KEY for entry in CATALOGUE) >= 30
    assert 1 <= len(fetch.uris) <= 1 + RefreshSchedule().burst


def test_whole_catalogue_from_many_threads_costs_no_more_fetches() -> None:
    """Eight threads at once on a verifier that holds nothing: the same verdicts, the same bound."""
    fetch = CountedFetch(POOL.fetch)
    verifier = POOL.verifier(fetch=fetch, timer=FakeClock())
    with ThreadPoolExecutor(max_workers=8) as threads:
        verdicts = list(threads.map(partial(verdict, verifier), [entry.token for entry in CATALOGUE]))
    assert verdicts == [entry.reason for entry in CATALOGUE]
    assert 1 <= len(fetch.uris) <= 1 + RefreshSchedule().burst


def test_whole_catalogue_from_many_tasks_costs_no_more_fetches() -> None:
    """All of it at once on one event loop and a verifier that holds nothing."""
    fetch = CountedFetch(POOL.fetch)
    verifier = POOL.verifier(fetch=fetch, timer=FakeClock())

    async def judge_all() -> list[Reason | None]:
        return list(await asyncio.gather(*(averdict(verifier, entry.token) for entry in CATALOGUE)))

    assert asyncio.run(judge_all()) == [entry.reason for entry in CATALOGUE]
    assert 1 <= len(fetch.uris) <= 1 + RefreshSchedule().burst
