"""Where a token may stand: in one place of those that are configured, once, and nowhere else."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from adapters import BAD_TOKEN, DENIAL, NO_TOKEN, NOT_ONE_TOKEN, Guarded, Header, answer, bearer, handshake, talk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from cognito_guard import ConfigurationError, InvalidRequestError, Reason
from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.guard import Guard
from cognito_guard.testing import FakeUserPool
from cognito_guard.tokens.bearer import TOKEN_CHARS
from cognito_guard.tokens.credentials import Extractor, cookie, header, one_token, websocket_subprotocol

PROPERTY = settings(deadline=None, derandomize=True, max_examples=300)
EVERYWHERE = (header(), cookie("session"), websocket_subprotocol())

# What no separator cuts: the letters of a compact JWS.
_token = st.text("ABCabc019-_.", min_size=1, max_size=40)
_name = st.text(sorted(TOKEN_CHARS), min_size=1, max_size=12)
_cookie_value = st.text(sorted(TOKEN_CHARS | set('="')), max_size=12)


def refused(extract: Extractor, headers: Any) -> Reason:
    """Extract in vain; return why."""
    with pytest.raises(InvalidRequestError) as raised:
        extract(headers)
    return raised.value.reason


# The header


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Authorization": "Bearer abc"}, id="a mapping"),
        pytest.param([("authorization", "bearer abc")], id="pairs of text"),
        pytest.param([(b"authorization", b"Bearer  abc ")], id="pairs of bytes"),
        pytest.param([(b"AUTHORIZATION", b"BEARER abc")], id="capitals"),
        pytest.param([(b"cookie", b"session=x"), (b"authorization", b"Bearer abc")], id="behind others"),
    ],
)
def test_header_holds_the_token(headers: Any) -> None:
    """As RFC 6750 §2.1 has it, in every shape that frameworks hand on."""
    assert header()(headers) == "abc"


@pytest.mark.parametrize(
    "value", ["", "Basic amFuZTpzZWNyZXQ=", "DPoP abc", "abc", "BearerX abc", "AWS4-HMAC-SHA256 a"]
)
def test_header_of_another_scheme_holds_none(value: str) -> None:
    """None, and not an error: the token may stand elsewhere."""
    assert header()({"Authorization": value}) is None
    assert header()({}) is None


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer\tabc", "Bearer a b", "Bearer a,b"])
def test_broken_header_is_an_error(value: str) -> None:
    """Who says Bearer has to bring one token: it is no excuse to look elsewhere."""
    assert refused(header(), {"Authorization": value}) is Reason.MALFORMED_HEADER


def test_repeated_header_is_an_error() -> None:
    """Two parsers that pick different ones are how a request is smuggled."""
    assert refused(header(), [("Authorization", "Bearer a"), ("authorization", "Bearer a")]) is Reason.REPEATED_HEADER


@PROPERTY
@given(values=st.lists(st.binary(max_size=30) | st.binary(max_size=30).map(b"Bearer ".__add__), max_size=3))
def test_any_header_makes_a_token_or_none_or_an_invalid_request(values: list[bytes]) -> None:
    """Whatever the bytes: no other exception, and a token without white space and commas."""
    try:
        token = header()([(b"authorization", value) for value in values])
    except InvalidRequestError:
        return
    assert token is None or not set(token) & set(" \t,")


# The cookie


@pytest.mark.parametrize(
    "headers, token",
    [
        pytest.param({"Cookie": "session=abc"}, "abc", id="alone"),
        pytest.param({"Cookie": "a=b; session=abc; c=d"}, "abc", id="among others"),
        pytest.param({"Cookie": "a=b;session=abc;c=d"}, "abc", id="without blanks"),
        pytest.param({"Cookie": " session = abc "}, "abc", id="blanks"),
        pytest.param([(b"cookie", b"a=b"), (b"cookie", b"session=abc")], "abc", id="a header for each, as in HTTP/2"),
        pytest.param([(b"COOKIE", b"session=abc")], "abc", id="capitals"),
        pytest.param({"Cookie": "session=a=b"}, "a=b", id="an equals sign in the value"),
        pytest.param({"Cookie": 'session="abc"'}, '"abc"', id="quotes stay, and make no token"),
        pytest.param({"Cookie": "session="}, None, id="empty"),
        pytest.param({"Cookie": "session"}, None, id="no value"),
        pytest.param({"Cookie": ""}, None, id="no cookie"),
        pytest.param({}, None, id="no header"),
        pytest.param({"Cookie": "Session=abc"}, None, id="another case"),
        pytest.param({"Cookie": "xsession=abc; sessionx=abc; x-session=abc"}, None, id="names like it"),
        pytest.param({"Cookie": "a=session=abc"}, None, id="inside another value"),
        pytest.param({"Cookie": "a=b, session=abc"}, None, id="behind a comma"),
        pytest.param({"Set-Cookie": "session=abc"}, None, id="another header"),
        pytest.param([(b"cookie", b"s\xc3\xa9ssion=abc; session=abc\xff")], "abc\xff", id="no ASCII"),
        pytest.param([(b"cookie", b"session=\xa0abc\x0c")], "\xa0abc\x0c", id="what only looks like a blank stays"),
        pytest.param(
            [(b"cookie", b"\xa0session=abc; \x0csession=abc")], None, id="a name with what looks like a blank"
        ),
        pytest.param({"Cookie": "session=XabcX"}, "XabcX", id="letters at the ends"),
    ],
)
def test_cookie_holds_the_token(headers: Any, token: str | None) -> None:
    """By its exact name, and as it stands there: nothing is unquoted or decoded."""
    assert cookie("session")(headers) == token


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Cookie": "session=a; session=b"}, id="two"),
        pytest.param({"Cookie": "session=a; session=a"}, id="the same twice"),
        pytest.param({"Cookie": "session=; session=a"}, id="an empty one first"),
        pytest.param({"Cookie": "session; session=a"}, id="one without a value first"),
        pytest.param([("Cookie", "session=a"), ("cookie", "session=b")], id="in two headers"),
    ],
)
def test_cookie_that_stands_twice_is_an_error(headers: Any) -> None:
    """A neighbouring host can plant a second one: which of them counts is not ours to guess."""
    assert refused(cookie("session"), headers) is Reason.REPEATED_HEADER


@PROPERTY
@given(name=_name, token=_token, others=st.dictionaries(_name, _cookie_value, max_size=4), at=st.integers(0, 4))
def test_cookie_is_found_whatever_stands_around_it(name: str, token: str, others: dict[str, str], at: int) -> None:
    """And is found by its own name alone."""
    others.pop(name, None)
    pairs = [f"{other}={value}" for other, value in others.items()]
    assert cookie(name)({"Cookie": "; ".join(pairs)}) is None
    pairs.insert(at, f"{name}={token}")
    assert cookie(name)({"Cookie": "; ".join(pairs)}) == token
    assert cookie(name)([("cookie", pair) for pair in pairs]) == token


# The WebSocket subprotocol


@pytest.mark.parametrize(
    "value, token",
    [
        pytest.param("bearer, abc", "abc", id="as browsers write it"),
        pytest.param("bearer,abc", "abc", id="without a blank"),
        pytest.param(" bearer \t, abc ", "abc", id="blanks"),
        pytest.param("graphql-ws", None, id="another subprotocol"),
        pytest.param("graphql-ws, abc", None, id="two others"),
        pytest.param("Bearer, abc", None, id="another case"),
        pytest.param("bearer.abc", None, id="a name that begins like it"),
        pytest.param("", None, id="empty"),
    ],
)
def test_subprotocol_holds_the_token(value: str, token: str | None) -> None:
    """The token is what stands behind the marker."""
    assert websocket_subprotocol()({"Sec-WebSocket-Protocol": value}) == token
    assert websocket_subprotocol()({}) is None


@pytest.mark.parametrize("value", ["bearer", "bearer, a, b", "a, bearer", "a, bearer, b", "bearer, bearer, a"])
def test_marker_without_exactly_one_token_is_an_error(value: str) -> None:
    """Who marks a token brings one, behind the marker, and nothing else."""
    assert refused(websocket_subprotocol(), {"Sec-WebSocket-Protocol": value}) is Reason.MALFORMED_HEADER


def test_subprotocols_in_several_headers_are_one_list() -> None:
    """They may come apart (RFC 6455 §11.3.4), and count as if they had not."""
    name = b"sec-websocket-protocol"
    assert websocket_subprotocol()([(name, b"bearer"), (name, b"abc")]) == "abc"
    assert refused(websocket_subprotocol(), [(name, b"bearer, a"), (name, b"b")]) is Reason.MALFORMED_HEADER


@PROPERTY
@given(marker=_name, token=_token)
def test_marker_is_free_to_choose(marker: str, token: str) -> None:
    """Any subprotocol name will do; another one marks nothing."""
    headers = {"Sec-WebSocket-Protocol": f"{marker}, {token}"}
    assert websocket_subprotocol(marker)(headers) == token
    assume(token != f"{marker}x")
    assert websocket_subprotocol(f"{marker}x")(headers) is None


@PROPERTY
@given(value=st.binary(max_size=40) | st.binary(max_size=40).map(b"bearer,".__add__))
def test_any_subprotocols_make_a_token_or_none_or_an_invalid_request(value: bytes) -> None:
    """Whatever the bytes: no other exception, and a token without commas."""
    try:
        token = websocket_subprotocol()([(b"sec-websocket-protocol", value)])
    except InvalidRequestError:
        return
    assert token is None or "," not in token


# Configuration


@pytest.mark.parametrize("name", ["", " ", "a b", "a;b", "a=b", "a,b", "a\n", '"a"', "ä", None, 1, b"a"])
def test_name_that_cannot_be_one_is_refused(name: Any) -> None:
    """A cookie and a subprotocol are named by a token of RFC 9110 §5.6.2."""
    for make, setting in ((cookie, "cookie"), (websocket_subprotocol, "websocket_subprotocol")):
        with pytest.raises(ConfigurationError) as raised:
            make(name)
        assert raised.value.setting == setting


@pytest.mark.parametrize("token_from", [(), [], [None], ["header"], [header(), "session"]])
def test_places_that_are_none_are_refused(pool: FakeUserPool, token_from: Any) -> None:
    """A guard that looks nowhere would refuse everybody, or nobody."""
    with pytest.raises(ConfigurationError) as raised:
        Guard(verifier=pool.verifier(), token_from=token_from)
    assert raised.value.setting == "token_from"


def test_places_may_be_an_iterator(pool: FakeUserPool) -> None:
    """It is read once, at construction, and serves every request."""
    guard = Guard(verifier=pool.verifier(), token_from=iter([cookie("session")]))
    for _ in range(2):
        principal = guard.authenticate({"Cookie": f"session={pool.access_token()}"})
        assert principal is not None
        assert principal.username == "jane"


# One token


@PROPERTY
@given(
    in_header=st.none() | _token,
    in_cookie=st.none() | _token,
    in_subprotocol=st.none() | _token,
    order=st.permutations(EVERYWHERE),
)
def test_request_carries_its_token_in_one_place(
    in_header: str | None, in_cookie: str | None, in_subprotocol: str | None, order: list[Extractor]
) -> None:
    """None is none, one is the token, and more are an invalid request, be they equal or not (RFC 6750 §2)."""
    headers = [
        *([] if in_header is None else [("authorization", f"Bearer {in_header}")]),
        *([] if in_cookie is None else [("cookie", f"session={in_cookie}")]),
        *([] if in_subprotocol is None else [("sec-websocket-protocol", f"bearer, {in_subprotocol}")]),
    ]
    tokens = [token for token in (in_header, in_cookie, in_subprotocol) if token is not None]
    if len(tokens) > 1:
        with pytest.raises(InvalidRequestError) as raised:
            one_token(order, headers)
        assert raised.value.reason is Reason.SEVERAL_METHODS
    else:
        assert one_token(order, headers) == next(iter(tokens), None)


def test_places_that_are_not_configured_are_not_looked_at() -> None:
    """A token there neither counts nor hurts."""
    headers = {"Authorization": "Bearer a", "Cookie": "session=b; session=c", "Sec-WebSocket-Protocol": "bearer"}
    assert one_token([header()], headers) == "a"
    assert one_token([cookie("other")], headers) is None


def test_broken_place_is_an_error_beside_a_good_one() -> None:
    """A request with one good and one malformed credential is malformed."""
    headers = {"Authorization": "Bearer a b", "Cookie": "session=c"}
    with pytest.raises(InvalidRequestError) as raised:
        one_token([cookie("session"), header()], headers)
    assert raised.value.reason is Reason.MALFORMED_HEADER


# In the middleware


def in_cookie(token: str) -> Header:
    """Put a token into the cookie."""
    return b"cookie", f"theme=dark; session={token}".encode()


def in_subprotocol(token: str) -> Header:
    """Put a token where a browser can put it on a WebSocket."""
    return b"sec-websocket-protocol", f"bearer, {token}".encode()


def test_token_counts_in_each_configured_place(pool: FakeUserPool) -> None:
    """Header or cookie, as the client likes."""
    guarded = Guarded(pool, token_from=EVERYWHERE)
    token = pool.access_token()
    for place in (bearer(token), in_cookie(token), in_subprotocol(token)):
        assert guarded.ask("/", place).body == pool.subject("jane").encode()


def test_cookie_counts_beside_another_scheme(pool: FakeUserPool) -> None:
    """`Basic` carries no bearer token."""
    guarded = Guarded(pool, token_from=EVERYWHERE)
    reply = guarded.ask("/", (b"authorization", b"Basic eA=="), in_cookie(pool.access_token()))
    assert reply.status == 200


@pytest.mark.parametrize("required", [True, False])
def test_tokens_in_several_places_are_an_invalid_request(
    pool: FakeUserPool, caplog: pytest.LogCaptureFixture, required: bool
) -> None:
    """RFC 6750 §2 and §3.1, also where the tokens are the same, and where none is needed."""
    caplog.set_level(logging.INFO, "cognito_guard")
    guarded = Guarded(pool, token_from=EVERYWHERE, required=required)
    token = pool.access_token()
    places = [bearer(token), in_cookie(token), in_subprotocol(token)]
    requests = [places, places[:2], places[1:], [places[0], places[2]], [bearer("junk"), in_cookie(token)]]
    for headers in requests:
        assert guarded.ask("/", *headers) == NOT_ONE_TOKEN
    assert not guarded.probe.was_reached
    assert [record.__dict__["reason"] for record in caplog.records] == ["several_methods"] * len(requests)


@pytest.mark.parametrize("required", [True, False])
def test_bad_cookie_is_refused(pool: FakeUserPool, caplog: pytest.LogCaptureFixture, required: bool) -> None:
    """A cookie is a credential like any other: never dropped where it is bad."""
    caplog.set_level(logging.INFO, "cognito_guard")
    guarded = Guarded(pool, token_from=EVERYWHERE, required=required)
    assert guarded.ask("/", in_cookie("junk")) == BAD_TOKEN
    assert guarded.ask("/", in_cookie("a; session=b")) == NOT_ONE_TOKEN
    assert guarded.ask("/", in_cookie(f'"{pool.access_token()}"')) == BAD_TOKEN
    assert not guarded.probe.was_reached
    assert [record.__dict__["reason"] for record in caplog.records] == [
        "malformed_token",
        "repeated_header",
        "malformed_token",
    ]


def test_empty_cookie_is_no_credential(pool: FakeUserPool) -> None:
    """A browser that was signed out may send one."""
    assert Guarded(pool, token_from=EVERYWHERE).ask("/", in_cookie("")) == NO_TOKEN
    assert Guarded(pool, token_from=EVERYWHERE, required=False).ask("/", in_cookie("")).body == b"anonymous"


def test_header_counts_only_where_it_is_configured(pool: FakeUserPool) -> None:
    """Cookies alone means cookies alone."""
    guarded = Guarded(pool, token_from=[cookie("session")])
    assert guarded.ask("/", bearer(pool.access_token())) == NO_TOKEN
    assert guarded.ask("/", bearer("junk"), in_cookie(pool.access_token())).status == 200


# A WebSocket whose token came by subprotocol


async def _feed(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat" if "chat" in websocket.scope["subprotocols"] else None)
    await websocket.send_json([websocket.user.display_name, websocket.scope["subprotocols"]])
    await websocket.close()


def client_of_feed(pool: FakeUserPool, **options: Any) -> Any:
    """Return a client of an application that speaks `chat`, and takes tokens by subprotocol."""
    chosen: dict[str, Any] = {"verifier": pool.verifier(), "token_from": [header(), websocket_subprotocol()]} | options
    return TestClient(
        Starlette(routes=[WebSocketRoute("/", _feed)], middleware=[Middleware(CognitoMiddleware, **chosen)])
    )


def test_websocket_is_opened_by_a_token_in_its_subprotocols(pool: FakeUserPool) -> None:
    """The client gets the marker back, without which a browser gives up; the handler gets the caller, not the token."""
    with client_of_feed(pool).websocket_connect("/", subprotocols=["bearer", pool.access_token()]) as websocket:
        assert websocket.accepted_subprotocol == "bearer"
        assert websocket.receive_json() == ["jane", ["bearer"]]


def test_websocket_echoes_the_marker_that_was_chosen(pool: FakeUserPool) -> None:
    """Whatever it is called; another one's token is a subprotocol as good as any."""
    client = client_of_feed(pool, token_from=[websocket_subprotocol("v1.token")], required=False)
    with client.websocket_connect("/", subprotocols=["v1.token", pool.access_token()]) as websocket:
        assert (websocket.accepted_subprotocol, websocket.receive_json()) == ("v1.token", ["jane", ["v1.token"]])
    with client.websocket_connect("/", subprotocols=["bearer", "x"]) as websocket:
        assert (websocket.accepted_subprotocol, websocket.receive_json()) == (None, ["", ["bearer", "x"]])


def test_websocket_without_a_marker_keeps_its_subprotocols(pool: FakeUserPool) -> None:
    """Where the token is in the header, the application chooses among what was offered, or nothing."""
    for offered, accepted in ((["graphql-ws", "chat"], "chat"), (["graphql-ws"], None), (None, None)):
        client = client_of_feed(pool)
        with client.websocket_connect("/", subprotocols=offered, headers=pool.headers()) as websocket:
            assert websocket.accepted_subprotocol == accepted
            assert websocket.receive_json() == ["jane", offered or []]


def test_marker_in_a_header_is_an_ordinary_one_where_it_is_not_configured(pool: FakeUserPool) -> None:
    """Nothing is echoed, and nothing taken away, for an application that looks at headers alone."""
    client = client_of_feed(pool, token_from=[header()])
    with client.websocket_connect("/", subprotocols=["bearer", "x"], headers=pool.headers()) as websocket:
        assert (websocket.accepted_subprotocol, websocket.receive_json()) == (None, ["jane", ["bearer", "x"]])


@pytest.mark.parametrize(
    "subprotocols, expected, reason",
    [
        pytest.param(b"bearer, junk", BAD_TOKEN, "malformed_token", id="a bad token"),
        pytest.param(b"bearer,", BAD_TOKEN, "malformed_token", id="an empty token"),
        pytest.param(b"bearer", NOT_ONE_TOKEN, "malformed_header", id="no token"),
        pytest.param(b"chat, bearer, TOKEN", NOT_ONE_TOKEN, "malformed_header", id="another in front"),
        pytest.param(b"bearer, TOKEN, chat", NOT_ONE_TOKEN, "malformed_header", id="another behind"),
        pytest.param(b"chat", NO_TOKEN, "missing_token", id="another"),
    ],
)
def test_websocket_of_bad_subprotocols_is_refused(
    pool: FakeUserPool, caplog: pytest.LogCaptureFixture, subprotocols: bytes, expected: Any, reason: str
) -> None:
    """As a response where the server can send one, else by a close; neither names a subprotocol."""
    caplog.set_level(logging.INFO, "cognito_guard")
    guarded = Guarded(pool, token_from=[header(), websocket_subprotocol()])
    offered = (b"sec-websocket-protocol", subprotocols.replace(b"TOKEN", pool.access_token().encode()))
    sent = talk(guarded.app, handshake("/", offered, extensions=[DENIAL]))
    assert answer(sent, "websocket.") == expected
    assert talk(guarded.app, handshake("/", offered)) == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    assert not guarded.probe.was_reached
    assert [record.__dict__["reason"] for record in caplog.records] == [reason] * 2


def test_websocket_with_two_tokens_is_refused(pool: FakeUserPool) -> None:
    """Header and subprotocol are two methods, on a WebSocket too."""
    guarded = Guarded(pool, token_from=[header(), websocket_subprotocol()])
    token = pool.access_token()
    sent = talk(guarded.app, handshake("/", bearer(token), in_subprotocol(token), extensions=[DENIAL]))
    assert answer(sent, "websocket.") == NOT_ONE_TOKEN
    assert not guarded.probe.was_reached


def test_subprotocols_that_the_server_has_parsed_away_hold_the_token(pool: FakeUserPool) -> None:
    """Some servers (wsproto) take the header out and show a list: the token is found, echoed is the marker alone."""
    guarded = Guarded(pool, token_from=[header(), websocket_subprotocol()])
    sent = talk(guarded.app, handshake("/", subprotocols=["bearer", pool.access_token()]))
    assert sent[0] == {"type": "websocket.accept", "subprotocol": "bearer"}
    assert guarded.probe.scopes[0]["subprotocols"] == ["bearer"]


def test_subprotocols_of_others_stay_with_the_application(pool: FakeUserPool) -> None:
    """Where the marker does not come first no token is carried, and nothing is echoed for the application."""
    guarded = Guarded(pool, token_from=[header(), websocket_subprotocol()], exempt=["/"])
    sent = talk(guarded.app, handshake("/", subprotocols=["chat", "bearer"]))
    assert sent[0] == {"type": "websocket.accept"}
    assert guarded.probe.scopes[0]["subprotocols"] == ["chat", "bearer"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Basic eDp5,Bearer a.b.c", id="another scheme first"),
        pytest.param("Basic eDp5, bearer a.b.c", id="with a blank, in lower case"),
        pytest.param(",Bearer a.b.c", id="nothing first"),
    ],
)
def test_bearer_value_joined_behind_another_is_a_repeated_header(value: str) -> None:
    """A server that joins repeated headers must not make a request with a token look like one without."""
    assert refused(header(), [("authorization", value)]) is Reason.REPEATED_HEADER


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"token_from": [header]}, "token_from", id="a place without parentheses"),
        pytest.param({"token_from": None}, "token_from", id="no place"),
        pytest.param({"metadata": "https://api.example.com"}, "metadata", id="a URL for the metadata"),
    ],
)
def test_guard_option_of_another_kind_is_refused_at_construction(
    pool: FakeUserPool, options: dict[str, Any], setting: str
) -> None:
    """What would fail at each request fails where it is written."""
    with pytest.raises(ConfigurationError) as caught:
        Guard(verifier=pool.verifier(), **options)
    assert caught.value.setting == setting


@pytest.mark.parametrize("token", ["\u20ac", "\ud800", "a.b.\U0001f600"])
@pytest.mark.parametrize("token_from", [[header()], [header(), websocket_subprotocol()]])
def test_subprotocol_beyond_latin_1_is_refused_and_no_error(
    pool: FakeUserPool, token: str, token_from: list[Extractor]
) -> None:
    """A server may show subprotocols as any text: without a good token among them it is a 401, never a 500."""
    guarded = Guarded(pool, token_from=token_from)
    sent = talk(guarded.app, handshake("/", subprotocols=["bearer", token], extensions=[DENIAL]))
    assert not guarded.probe.was_reached
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("value", [b"bearer\x0c, abc", b"\xa0bearer, abc"])
def test_marker_with_what_looks_like_a_blank_is_another_subprotocol(value: bytes) -> None:
    """Blanks and tabs alone are optional around the entries of a list (RFC 9110 §5.6.1)."""
    assert websocket_subprotocol()([(b"sec-websocket-protocol", value)]) is None


def test_subprotocol_keeps_what_looks_like_a_blank() -> None:
    """It is no part of a token, and the token's intake says so."""
    assert websocket_subprotocol()([(b"sec-websocket-protocol", b"bearer, abc\xa0")]) == "abc\xa0"


@pytest.mark.parametrize(
    "pair, found",
    [
        pytest.param(("authorization", "Bearer a"), "a", id="header"),
        pytest.param(("cookie", "session=b"), "b", id="cookie"),
        pytest.param(("sec-websocket-protocol", "bearer, c"), "c", id="subprotocol"),
    ],
)
def test_headers_that_can_be_read_once_are_read_by_each_place(pair: tuple[str, str], found: str) -> None:
    """An iterator is used up by nobody before the others have looked."""
    assert one_token(EVERYWHERE, iter([pair])) == found
