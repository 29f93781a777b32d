"""Authorization values: exactly one value with exactly one bearer token, or one of two refusals."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard.errors import InvalidRequestError, MissingTokenError, Reason
from cognito_guard.tokens.bearer import (
    EnvironHeaders,
    Headers,
    HeaderValue,
    authorization_values,
    bearer_token,
    header_values,
)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Bearer abc.def.ghi", id="the usual spelling"),
        pytest.param("bearer abc.def.ghi", id="a lower case scheme"),
        pytest.param("BEARER abc.def.ghi", id="an upper case scheme"),
        pytest.param("bEaReR abc.def.ghi", id="a mixed case scheme"),
        pytest.param("Bearer   abc.def.ghi", id="several blanks"),
        pytest.param(" \tBearer abc.def.ghi\t ", id="white space around, which is not part of the value"),
        pytest.param(b"Bearer abc.def.ghi", id="bytes"),
    ],
)
def test_one_bearer_value_gives_its_token(value: HeaderValue) -> None:
    """The scheme is case-insensitive and followed by one or more blanks (RFC 9110 §11.4)."""
    assert bearer_token([value]) == "abc.def.ghi"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="no value at all"),
        pytest.param([""], id="an empty value"),
        pytest.param([" \t"], id="white space"),
        pytest.param(["Basic dXNlcjpwYXNz"], id="Basic"),
        pytest.param(["DPoP abc.def.ghi"], id="DPoP"),
        pytest.param(["AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1"], id="a signed AWS request"),
        pytest.param(["Bearertoken abc.def.ghi"], id="a scheme that begins like ours"),
        pytest.param(["Bearer2 abc"], id="a scheme with a digit"),
        pytest.param(["BearerXX XXabc"], id="the same letters on both sides of the blank"),
        pytest.param(["Bearer-Token abc"], id="a scheme with a dash"),
        pytest.param(["abc.def.ghi"], id="a token without a scheme"),
        pytest.param(["Token abc.def.ghi"], id="another framework's scheme"),
        pytest.param(["ＢＥＡＲＥＲ abc"], id="full-width letters"),  # noqa: RUF001
        pytest.param(["Bear\u0435r abc"], id="a Cyrillic letter"),
    ],
)
def test_request_without_a_bearer_value_has_no_token(values: list[HeaderValue]) -> None:
    """Another scheme is another guard's business: no credentials of ours, and no error code for them."""
    with pytest.raises(MissingTokenError) as caught:
        bearer_token(values)
    assert caught.value.reason is Reason.MISSING_TOKEN


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Bearer", id="the scheme alone"),
        pytest.param("Bearer ", id="nothing behind the blank"),
        pytest.param("bearer \t ", id="only white space behind the scheme"),
        pytest.param("Bearer\tabc.def.ghi", id="a tab instead of the blank"),
        pytest.param("Bearer \tabc.def.ghi", id="a tab behind the blank"),
        pytest.param("Bearer abc def", id="two tokens"),
        pytest.param("Bearer abc  def", id="two tokens further apart"),
        pytest.param("Bearer abc\tdef", id="two tokens with a tab between"),
        pytest.param("Bearer abc,def", id="two tokens with a comma between"),
        pytest.param("Bearer abc, Bearer def", id="two values joined by a server"),
        pytest.param("Bearer abc,", id="a comma behind the token"),
        pytest.param("Bearer Bearer abc", id="the scheme twice"),
        pytest.param("Bearer,", id="a comma behind the scheme"),
        pytest.param("Bearer:abc", id="a colon behind the scheme"),
        pytest.param('Bearer"abc"', id="a quote behind the scheme"),
        pytest.param("Bearer\u00a0abc", id="a no-break space behind the scheme"),
        pytest.param(b"Bearer\xa0abc", id="a no-break space behind the scheme in bytes"),
        pytest.param("Bearer\x00abc", id="a null byte behind the scheme"),
        pytest.param("Bearer\r\nabc", id="a line break behind the scheme"),
    ],
)
def test_broken_bearer_value_is_an_invalid_request(value: HeaderValue) -> None:
    """Whoever names our scheme means us: the value is broken, not absent."""
    with pytest.raises(InvalidRequestError) as caught:
        bearer_token([value])
    assert caught.value.reason is Reason.MALFORMED_HEADER


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["Bearer abc", "Bearer abc"], id="the same twice"),
        pytest.param(["Bearer abc", "Bearer def"], id="two tokens"),
        pytest.param(["Basic dXNlcjpwYXNz", "Bearer abc"], id="two schemes"),
        pytest.param(["", "Bearer abc"], id="an empty one first"),
        pytest.param([b"Bearer abc", ""], id="an empty one last"),
    ],
)
def test_repeated_value_is_an_invalid_request(values: list[HeaderValue]) -> None:
    """Two parsers that pick different values are how a request is smuggled past a guard."""
    with pytest.raises(InvalidRequestError) as caught:
        bearer_token(values)
    assert caught.value.reason is Reason.REPEATED_HEADER


def test_token_is_not_looked_into() -> None:
    """What is no token is the intake's to refuse, as a bad token and not as a bad request."""
    assert bearer_token(["Bearer \x00ü\r\n="]) == "\x00ü\r\n="
    assert bearer_token([b"Bearer \xff\xfe"]) == "\xff\xfe"
    assert bearer_token([b"Bearer abc\xa0"]) == bearer_token([b" Bearer abc\xa0"]) == "abc\xa0"
    assert bearer_token(["Bearer XabcX "]) == "XabcX"


@pytest.mark.parametrize(
    "headers, values",
    [
        pytest.param({}, [], id="an empty mapping"),
        pytest.param({"Authorization": "Bearer abc"}, ["Bearer abc"], id="a mapping"),
        pytest.param({"authorization": "a", "AUTHORIZATION": "b"}, ["a", "b"], id="a mapping with two spellings"),
        pytest.param([], [], id="no pairs"),
        pytest.param([(b"authorization", b"Bearer abc")], [b"Bearer abc"], id="pairs of bytes"),
        pytest.param([("AuthoriZation", "Bearer abc")], ["Bearer abc"], id="pairs of text in any case"),
        pytest.param(
            [(b"authorization", b"a"), (b"accept", b"*/*"), (b"Authorization", b"b")],
            [b"a", b"b"],
            id="a repeated header in the order of the request",
        ),
        pytest.param(
            [
                (b"proxy-authorization", b"a"),
                (b"x-authorization", b"b"),
                (b"authorization ", b"c"),
                (b"authorizations", b"d"),
                (b"authorisation", b"e"),
                (b"author_zation", b"f"),
                (b"cookie", b"authorization=g"),
                ("author\u0131zation", "h"),
                ("AUTHOR\u0130ZATION", "i"),
            ],
            [],
            id="names that are not quite the one",
        ),
    ],
)
def test_every_authorization_value_is_collected_and_no_other(headers: Headers, values: list[HeaderValue]) -> None:
    """The name is matched whole and in any case; none of several values is lost."""
    assert authorization_values(headers) == values


def test_any_header_can_be_collected_as_text() -> None:
    """The name in lower case finds every spelling; bytes are latin-1, and the order is the request's."""
    pairs: list[tuple[HeaderValue, HeaderValue]] = [(b"Cookie", b"a=\xff"), ("cookies", "x"), ("COOKIE", "b=2")]
    assert header_values(pairs, "cookie") == ["a=\xff", "b=2"]
    assert header_values({"Cookie": "c=3"}, "cookie") == ["c=3"]
    assert header_values([], "cookie") == []


def test_headers_may_be_read_once() -> None:
    """Pairs may come from a generator."""
    pairs: Any = ((name, "Bearer abc") for name in ("Host", "Authorization"))
    assert bearer_token(authorization_values(pairs)) == "abc"


def test_environ_shows_its_headers() -> None:
    """Names in any case, with dashes for underscores; what is no header of the request is none."""
    environ = {
        "HTTP_AUTHORIZATION": "Bearer abc",
        "HTTP_SEC_WEBSOCKET_PROTOCOL": "bearer, abc",
        "http_x": "y",
        "wsgi.input": None,
        "AUTHORIZATION": "z",
    }
    headers = EnvironHeaders(environ)
    assert list(headers) == ["AUTHORIZATION", "SEC-WEBSOCKET-PROTOCOL"]
    assert len(headers) == 2
    assert headers["Sec-WebSocket-Protocol"] == "bearer, abc"
    assert authorization_values(headers) == ["Bearer abc"]
    assert header_values(headers, "sec-websocket-protocol") == ["bearer, abc"]


def test_environ_without_a_header_shows_none() -> None:
    """Absent is absent, and no value of None."""
    headers = EnvironHeaders({"wsgi.input": None})
    assert header_values(headers, "cookie") == []
    assert authorization_values(headers) == []
    assert (list(headers), len(headers), "Authorization" in headers) == ([], 0, False)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Basic x,Bearer y", id="at once"),
        pytest.param("Basic x, \tbearer y", id="behind blanks, in lower case"),
        pytest.param("Basic x,Negotiate,BEARER y z", id="as the third, broken"),
        pytest.param(",Bearer y", id="behind nothing"),
    ],
)
def test_bearer_value_joined_behind_another_is_repeated(value: str) -> None:
    """WSGI servers join repeated headers with a comma."""
    with pytest.raises(InvalidRequestError) as caught:
        bearer_token([value])
    assert caught.value.reason is Reason.REPEATED_HEADER


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Basic x,Bearer", id="no blank behind the scheme"),
        pytest.param("Basic x Bearer y", id="no comma"),
        pytest.param("Basic x;Bearer y", id="another separator"),
        pytest.param("Basic x,\xa0Bearer y", id="what looks like a blank"),
        pytest.param("Digest a=b,XBearer y", id="a name that ends like ours"),
        pytest.param("Digest a=b,Bearers y", id="a name that begins like ours"),
    ],
)
def test_value_of_another_scheme_that_only_resembles_two_is_no_bearer_token(value: str) -> None:
    """Other schemes have commas of their own."""
    with pytest.raises(MissingTokenError):
        bearer_token([value])


def outcome(values: list[HeaderValue]) -> str | type[Exception]:
    """Return the token, or the class of one of the two refusals."""
    try:
        return bearer_token(values)
    except (MissingTokenError, InvalidRequestError) as error:
        return type(error)


ANY_VALUE = (
    st.text()
    | st.binary()
    | st.from_regex(re.compile(r"[Bb]earer[ \t,]?.*", re.DOTALL))
    | st.from_regex(re.compile(rb"bearer +.*", re.DOTALL))
)


@settings(deadline=None, derandomize=True)
@given(st.lists(ANY_VALUE, max_size=3))
def test_any_values_give_a_token_or_one_of_two_refusals(values: list[HeaderValue]) -> None:
    """Nothing else is ever raised, and a token is one word that stands whole in the one value."""
    token = outcome(values)
    if isinstance(token, str):
        [value] = values
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        assert text.strip(" \t")[:7].lower() == "bearer "
        assert text.strip(" \t").endswith(token)
        assert token
        assert not set(token) & set(" \t,")


@settings(deadline=None, derandomize=True)
@given(
    st.from_regex(r"[A-Za-z0-9._~+/=-]+", fullmatch=True),
    st.sampled_from(["Bearer", "bearer", "BEARER"]),
    st.integers(1, 3),
)
def test_any_token68_comes_through_unchanged(token: str, scheme: str, blanks: int) -> None:
    """All characters that RFC 6750 §2.1 allows in a token survive, as text and as bytes."""
    value = f"{scheme}{' ' * blanks}{token}"
    assert bearer_token([value]) == bearer_token([value.encode()]) == token
