"""The service that proxies ask: rules, paths, identity headers, each proxy's way to tell the request, configuration."""

from __future__ import annotations

import json
import logging
import os
import posixpath
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

import pytest
from adapters import (
    BAD_CREDENTIALS,
    NO_CREDENTIALS,
    NOT_ALLOWED,
    NOT_ONE_TOKEN,
    STEP_UP,
    UNAVAILABLE,
    Answer,
    Header,
    Present,
    ask,
    bearer,
    connection,
    handshake,
    talk,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cognito_guard import CognitoVerifier, ConfigurationError, Principal, Reason, Requires
from cognito_guard.cli import main
from cognito_guard.forward_auth import (
    HEALTH,
    READY,
    VERIFY,
    ForwardAuth,
    IdentityHeaders,
    Proxy,
    Rule,
    from_file,
    from_mapping,
)
from cognito_guard.forward_auth.rules import path_of
from cognito_guard.testing import ABSENT, FakeUserPool

EXAMPLES = Path(__file__).parent.parent / "examples" / "forward_auth"
DOCS = Path(__file__).parent.parent / "docs" / "forward-auth.md"
ORIGINAL = (b"x-original-method", b"x-original-uri")
FORWARDED = (b"x-forwarded-method", b"x-forwarded-uri")
WAYS: Mapping[Proxy, tuple[bytes, bytes]] = {
    "nginx": ORIGINAL,
    "haproxy": ORIGINAL,
    "caddy": FORWARDED,
    "traefik": FORWARDED,
}
PROXIES: tuple[Proxy, ...] = (*WAYS, "envoy")
ANYBODY = Rule(path="/")
NAMES = [
    *(b"x-auth-subject", b"x-auth-user-pool-id", b"x-auth-username", b"x-auth-client-id"),
    *(b"x-auth-scopes", b"x-auth-groups", b"x-auth-token-use"),
]
TIMEOUT = 60.0  # seconds that nothing here takes unless it hangs
PROPERTY = settings(deadline=None, derandomize=True)


def guard(pool: FakeUserPool, *rules: Rule, proxy: Proxy = "nginx", **options: Any) -> ForwardAuth:
    """Return a service that judges tokens of the pool."""
    return ForwardAuth(pool.verifier(), proxy=proxy, rules=rules or [ANYBODY], **options)


def verdict(app: ForwardAuth, method: str, target: str, *headers: Header) -> Answer:
    """Ask as nginx does."""
    told = zip(ORIGINAL, (method.encode("latin-1"), target.encode("latin-1")), strict=True)
    return ask(app, VERIFY, *told, *headers)


def asked_by(proxy: Proxy, app: ForwardAuth, method: str, target: str, *headers: Header) -> Answer:
    """Ask as this proxy does."""
    if proxy == "envoy":
        path, _, query = target.partition("?")
        whole = VERIFY + path
        return ask(app, unquote(whole), *headers, method=method, raw_path=whole.encode(), query_string=query.encode())
    return ask(app, VERIFY, *zip(WAYS[proxy], (method.encode(), target.encode()), strict=True), *headers)


def configured(pool: FakeUserPool, **settings: Any) -> ForwardAuth:
    """Return a service that is configured by a mapping, and judges tokens of the pool by the real time."""
    verifier = {"user_pool_id": pool.user_pool_id, "client_id": pool.client_id, "jwks": pool.jwks}
    return from_mapping({"proxy": "nginx", "rules": [{"path": "/"}], "verifier": verifier} | settings)


def identity(answer: Answer) -> dict[bytes, bytes]:
    """Return the identity headers of a verdict."""
    return {name: value for name, value in answer.headers if name.startswith(b"x-auth-")}


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the reasons of the refusals so far, as they were logged."""
    return [record.__dict__["reason"] for record in caplog.records if hasattr(record, "reason")]


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    """Collect what is logged."""
    caplog.set_level(logging.INFO, logger="cognito_guard")


class TestVerdicts:
    """Who passes, and what the others are told."""

    def test_good_token_passes_with_every_identity_header(self, pool: FakeUserPool) -> None:
        """The caller stands in headers, one each, and nothing of the answer may be stored."""
        token = pool.access_token(username="jane", scopes=["b/write", "a/read"], groups=["staff", "admins"])
        answer = verdict(guard(pool), "GET", "/", bearer(token))
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers == [
            (b"x-auth-subject", pool.verifier().verify(token).subject.encode()),
            (b"x-auth-user-pool-id", pool.user_pool_id.encode()),
            (b"x-auth-username", b"jane"),
            (b"x-auth-client-id", pool.client_id.encode()),
            (b"x-auth-scopes", b"a/read b/write"),
            (b"x-auth-groups", b"admins staff"),
            (b"x-auth-token-use", b"access"),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
        ]

    def test_id_token_passes_where_it_is_accepted(self, pool: FakeUserPool) -> None:
        """What it says is told in the same words."""
        app = ForwardAuth(pool.verifier(token_use="id"), proxy="nginx", rules=[ANYBODY])
        answer = verdict(app, "GET", "/", bearer(pool.id_token(username="jane")))
        told = identity(answer)
        assert (told[b"x-auth-username"], told[b"x-auth-token-use"]) == (b"jane", b"id")
        assert told[b"x-auth-client-id"] == pool.client_id.encode()

    @pytest.mark.parametrize("present, expected, reason", [*NO_CREDENTIALS, *BAD_CREDENTIALS])
    def test_bad_credentials_get_the_answer_of_every_adapter(
        self,
        pool: FakeUserPool,
        caplog: pytest.LogCaptureFixture,
        present: Present,
        expected: Answer,
        reason: Reason,
    ) -> None:
        """A client behind a proxy is told to the byte what a client of a guarded application is told."""
        assert verdict(guard(pool), "GET", "/", *present(pool)) == expected
        assert reasons(caplog) == [reason]

    @pytest.mark.parametrize(
        "demand, expected, reason",
        [
            pytest.param({"groups": "admins"}, NOT_ALLOWED, Reason.GROUP_REQUIRED, id="a group"),
            pytest.param({"any_groups": ["a", "b"]}, NOT_ALLOWED, Reason.GROUP_REQUIRED, id="one of two groups"),
            pytest.param({"client_id": "another"}, NOT_ALLOWED, Reason.CLIENT_NOT_ALLOWED, id="a client"),
            pytest.param({"actor": "an-agent"}, NOT_ALLOWED, Reason.ACTOR_NOT_ALLOWED, id="an actor"),
            pytest.param({"claims": {"tenant": "x"}}, NOT_ALLOWED, Reason.CLAIM_MISMATCH, id="a claim"),
            pytest.param({"max_age": 300}, STEP_UP, Reason.STALE_AUTHENTICATION, id="a recent authentication"),
        ],
    )
    def test_requirement_that_is_not_met_is_refused(
        self,
        pool: FakeUserPool,
        caplog: pytest.LogCaptureFixture,
        demand: dict[str, Any],
        expected: Answer,
        reason: Reason,
    ) -> None:
        """A rule can demand whatever a file can say of a Requires."""
        app = configured(pool, rules=[{"path": "/"} | demand])
        real_time = FakeUserPool(keys_of=pool)
        token = real_time.access_token(auth_time=real_time.clock() - 3600)
        assert verdict(app, "GET", "/", bearer(token)) == expected
        assert reasons(caplog) == [reason]

    @pytest.mark.parametrize(
        "requirement, scope",
        [
            pytest.param(Requires(scopes=["a/x", "a/y"]), b"a/x a/y", id="all of two"),
            pytest.param(Requires(any_scopes=["a/x", "a/y"]), b"a/x", id="one of two"),
            pytest.param(Requires(scopes="a/x") & Requires(scopes="a/y"), b"a/x a/y", id="composed"),
        ],
    )
    def test_challenge_names_the_scopes_of_the_rule(
        self, pool: FakeUserPool, requirement: Requires, scope: bytes
    ) -> None:
        """Also a client without a token learns what to ask for."""
        app = guard(pool, Rule(path="/", requirement=requirement))
        missing = dict(verdict(app, "GET", "/").headers)[b"www-authenticate"]
        refused = verdict(app, "GET", "/", bearer(pool.access_token()))
        assert missing == b'Bearer realm="cognito", scope="%s"' % scope
        assert refused.status == 403
        assert dict(refused.headers)[b"www-authenticate"].endswith(b', scope="%s"' % scope)

    def test_realm_and_problem_details_are_those_configured(self, pool: FakeUserPool) -> None:
        """The options of a Guard that shape its answers."""
        answer = verdict(guard(pool, realm="shop", problem_details=True), "GET", "/")
        assert dict(answer.headers)[b"www-authenticate"] == b'Bearer realm="shop"'
        assert dict(answer.headers)[b"content-type"] == b"application/problem+json"

    def test_keys_out_of_reach_is_503(self, pool: FakeUserPool, caplog: pytest.LogCaptureFixture) -> None:
        """Nobody is told that a token is bad which can't be judged."""
        with pool.serve() as keys:
            keys.down()
            app = ForwardAuth(keys.verifier(), proxy="nginx", rules=[ANYBODY])
            assert verdict(app, "GET", "/", bearer(pool.access_token())) == UNAVAILABLE
        assert reasons(caplog) == [Reason.KEYS_UNAVAILABLE]

    @pytest.mark.parametrize("present", [None, b"Bearer nonsense", b"Basic eA=="])
    def test_public_path_passes_everybody_as_nobody(self, pool: FakeUserPool, present: bytes | None) -> None:
        """No token is looked at, and every identity header is there and empty, to replace what a client forged."""
        app = guard(pool, Rule(path="/", public=True))
        headers = [] if present is None else [(b"authorization", present)]
        answer = verdict(app, "GET", "/", *headers, (b"x-auth-subject", b"forged"))
        assert answer.status == 200
        assert [*identity(answer).items()] == [(name, b"") for name in NAMES]

    def test_refusal_carries_no_identity(self, pool: FakeUserPool) -> None:
        """A proxy that copies headers from a refusal copies none of a caller's."""
        app = guard(pool, Rule(path="/", requirement=Requires(scopes="a/x")))
        assert identity(verdict(app, "GET", "/", bearer(pool.access_token()))) == {}

    def test_implied_scopes_are_told(self, pool: FakeUserPool) -> None:
        """The application sees what the rules see."""
        app = ForwardAuth(pool.verifier(implies={"a/admin": ["a/read"]}), proxy="nginx", rules=[ANYBODY])
        answer = verdict(app, "GET", "/", bearer(pool.access_token(scopes=["a/admin"])))
        assert identity(answer)[b"x-auth-scopes"] == b"a/admin a/read"

    def test_several_user_pools_are_told_apart(self, pool: FakeUserPool) -> None:
        """A subject is one person's in its user pool alone, so that the pool is told with it."""
        other = FakeUserPool("eu-west-1_Other0001", clock=pool.clock)
        verifier = CognitoVerifier.any_of(pool.verifier(), other.verifier())
        app = ForwardAuth(verifier, proxy="nginx", rules=[ANYBODY])
        pools = [
            identity(verdict(app, "GET", "/", bearer(one.access_token())))[b"x-auth-user-pool-id"]
            for one in (pool, other)
        ]
        assert pools == [pool.user_pool_id.encode(), b"eu-west-1_Other0001"]


class TestRules:
    """Which rule decides."""

    RULES = (
        Rule(path="/health", methods="GET", public=True),
        Rule(path="/orders/", methods=["GET", "POST"], requirement=Requires(scopes="orders/read")),
        Rule(path="/orders/", methods="DELETE", requirement=Requires(scopes="orders/write")),
        Rule(path="/café/", public=True),
        Rule(path="/me"),
    )

    @pytest.mark.parametrize(
        "method, target, status",
        [
            ("GET", "/health", 200),
            ("HEAD", "/health", 200),
            ("GET", "/health?token=x&a=/../b", 200),
            ("GET", "/h%65alth", 200),
            ("POST", "/health", 403),
            ("GET", "/health/", 403),
            ("GET", "/health/x", 403),
            ("GET", "/healthy", 403),
            ("GET", "/orders/", 200),
            ("GET", "/orders/1/items", 200),
            ("HEAD", "/orders/1", 200),
            ("POST", "/orders/1", 200),
            ("DELETE", "/orders/1", 403),
            ("PUT", "/orders/1", 403),
            ("GET", "/orders", 403),
            ("GET", "/ordersX/1", 403),
            ("GET", "/ORDERS/1", 403),
            ("GET", "/caf%C3%A9/x", 200),
            ("GET", "/caf%c3%a9/x", 200),
            ("GET", "/cafe/x", 403),
            ("BREW", "/me", 200),
            ("VERSION-CONTROL", "/me", 200),
            ("OPTIONS", "/me", 200),
            ("GET", "/", 403),
            ("GET", "/?/me", 403),
        ],
    )
    def test_first_rule_that_fits_decides(self, pool: FakeUserPool, method: str, target: str, status: int) -> None:
        """A path is exact or, with a slash at its end, a prefix; what no rule fits is refused."""
        token = bearer(pool.access_token(scopes=["orders/read"]))
        assert verdict(guard(pool, *self.RULES), method, target, token).status == status

    def test_no_rule_is_no_pass_whatever_the_token(self, pool: FakeUserPool, caplog: pytest.LogCaptureFixture) -> None:
        """Default deny: the same answer with and without a token, since none would help."""
        app = guard(pool, *self.RULES)
        assert verdict(app, "GET", "/nowhere") == NOT_ALLOWED
        assert verdict(app, "GET", "/nowhere", bearer(pool.access_token())) == NOT_ALLOWED
        assert reasons(caplog) == [Reason.NOT_ADMITTED] * 2

    def test_order_counts(self, pool: FakeUserPool) -> None:
        """The narrow rule stands before the wide one."""
        app = guard(pool, Rule(path="/a/b"), Rule(path="/a/", public=True))
        assert [verdict(app, "GET", path).status for path in ("/a/b", "/a/c", "/a/b/")] == [401, 200, 200]

    def test_preflight_is_a_request_like_any(self, pool: FakeUserPool) -> None:
        """Whether OPTIONS passes is for a rule to say."""
        preflight = [(b"origin", b"https://example.com"), (b"access-control-request-method", b"GET")]
        assert verdict(guard(pool), "OPTIONS", "/", *preflight).status == 401
        app = guard(pool, Rule(path="/", methods="OPTIONS", public=True), ANYBODY)
        assert verdict(app, "OPTIONS", "/", *preflight).status == 200

    @pytest.mark.parametrize(
        "method", ["get", "Get", "", "GET ", " GET", "GET, POST", "G\xc9T", "GET\t", "X" * 33, "*"]
    )
    def test_method_with_more_than_one_reading_is_refused(self, pool: FakeUserPool, method: str) -> None:
        """Where case or blanks are lost on the way, the application would see another method than the rules did."""
        app = guard(pool, Rule(path="/", methods="POST"), Rule(path="/", public=True))
        assert verdict(app, method, "/") == NOT_ALLOWED

    @pytest.mark.parametrize(
        "target",
        [
            *("", "*", "x", "x/y", "?", "http://app/", "//", "//x", "/x//y", "/x//", "/.", "/..", "/./", "/../"),
            *("/x/..", "/x/../y", "/x/./y", "/...", "/x.", "/x./y", "/x%20", "/%20x", "/x%20/y", "/x /y", "/%2e"),
            *("/%2E%2e/x", "/%2f", "/x%2Fy", "/%5c", "/x\\y", "/\\", "/%00", "/x%00", "/x%0a", "/x%0d%0ay", "/x%7f"),
            *("/x%09", "/x\ty", "/%25", "/%252e", "/%252f", "/%", "/%4", "/%zz", "/%u0041", "/x%", "/;", "/x;y"),
            *("/x;/y", "/%3b", "/..;/x", "/%3f", "/%23", "/#", "/x#y", "/\u00e9", "/x\u00ff", "/%ff", "/%c0%af"),
            *("/%c0%ae", "/%e9", "/%ed%a0%80", "/a%ef%bc%8fb", "/%ef%bc%8e%ef%bc%8e/x", "/a%ef%bc%bcb"),
            *("/%ef%bd%81dmin", "/cafe%cc%81/", "/%e2%80%a5/", "/%c2%a0", "/%e2%80%8b", "/%e2%80%a8", "/%ef%bb%bf"),
            *("/%c2%85", "\u0000/", "/\u0000", " /", "/x\u007f", "/x "),
        ],
    )
    def test_path_with_more_than_one_reading_is_refused(
        self, pool: FakeUserPool, caplog: pytest.LogCaptureFixture, target: str
    ) -> None:
        """Even where everything is public: nobody can say which rule is meant."""
        assert verdict(guard(pool, Rule(path="/", public=True)), "GET", target) == NOT_ALLOWED
        assert reasons(caplog) == [Reason.NOT_ADMITTED]
        (record,) = [record for record in caplog.records if hasattr(record, "problem")]
        assert record.__dict__["problem"] == "the path has more than one reading"

    @pytest.mark.parametrize(
        "rule, setting",
        [
            pytest.param({"path": "orders"}, "path", id="no slash at the beginning"),
            pytest.param({"path": ""}, "path", id="an empty path"),
            pytest.param({"path": "/a/../b"}, "path", id="dot segments"),
            pytest.param({"path": "/a//b"}, "path", id="doubled slashes"),
            pytest.param({"path": "/caf%C3%A9"}, "path", id="an encoded path"),
            pytest.param({"path": "/a?b"}, "path", id="a query"),
            pytest.param({"path": "/a;b"}, "path", id="parameters"),
            pytest.param({"path": "/a\\b"}, "path", id="a backslash"),
            pytest.param({"path": "/cafe\u0301/"}, "path", id="an accent of its own"),
            pytest.param({"path": "/a\uff0fb"}, "path", id="a full-width slash"),
            pytest.param({"path": 5}, "path", id="a number"),
            pytest.param({"path": "/", "methods": "get"}, "methods", id="a method in lower case"),
            pytest.param({"path": "/", "methods": ["GET", ""]}, "methods", id="an empty method"),
            pytest.param({"path": "/", "methods": "GET,POST"}, "methods", id="methods in one string"),
            pytest.param({"path": "/", "methods": "*"}, "methods", id="a star"),
            pytest.param({"path": "/", "methods": 5}, "methods", id="no string"),
            pytest.param({"path": "/", "public": "yes"}, "public", id="a word for true"),
            pytest.param({"path": "/", "public": 1}, "public", id="a number for true"),
            pytest.param({"path": "/", "requirement": "a/x"}, "requirement", id="a scope for a requirement"),
            pytest.param(
                {"path": "/", "public": True, "requirement": Requires(scopes="a/x")}, "public", id="public and not"
            ),
        ],
    )
    def test_rule_that_makes_no_sense_is_refused(self, rule: dict[str, Any], setting: str) -> None:
        """A rule means what it says or nothing."""
        with pytest.raises(ConfigurationError) as caught:
            Rule(**rule)
        assert caught.value.setting == setting

    @pytest.mark.parametrize(
        "before, behind",
        [
            pytest.param({"path": "/"}, {"path": "/x"}, id="a prefix covers what is below"),
            pytest.param({"path": "/x/"}, {"path": "/x/y/"}, id="a prefix covers a longer one"),
            pytest.param({"path": "/x"}, {"path": "/x"}, id="the same path"),
            pytest.param({"path": "/x"}, {"path": "/x", "methods": "GET"}, id="all methods cover one"),
            pytest.param({"path": "/x", "methods": "GET"}, {"path": "/x", "methods": "HEAD"}, id="GET covers HEAD"),
        ],
    )
    def test_rule_that_is_never_reached_is_refused(
        self, pool: FakeUserPool, before: dict[str, Any], behind: dict[str, Any]
    ) -> None:
        """It would look like a guard and be none."""
        with pytest.raises(ConfigurationError, match=r"is never reached: rules\[0\] fits all that it fits") as caught:
            guard(pool, Rule(**before), Rule(**behind))
        assert caught.value.setting == "rules[1]"

    @pytest.mark.parametrize(
        "before, behind",
        [
            pytest.param({"path": "/x"}, {"path": "/x/"}, id="an exact path covers nothing below"),
            pytest.param({"path": "/x/"}, {"path": "/x"}, id="a prefix covers not the path without its slash"),
            pytest.param({"path": "/x", "methods": "GET"}, {"path": "/x"}, id="one method covers not all"),
            pytest.param({"path": "/x", "methods": "HEAD"}, {"path": "/x", "methods": "GET"}, id="HEAD covers not GET"),
        ],
    )
    def test_rule_that_can_be_reached_is_kept(
        self, pool: FakeUserPool, before: dict[str, Any], behind: dict[str, Any]
    ) -> None:
        """Only what can't decide about anything is a mistake."""
        assert verdict(guard(pool, Rule(**before), Rule(**behind, public=True)), "POST", "/elsewhere") == NOT_ALLOWED


# What a path is made of: the letters that matter to some reader, and a few that matter to none.
PIECES = st.sampled_from(
    [
        *"/abAé.;\\%?# ~+:",
        *("..", "%2e", "%2F", "%25", "%5c", "%00", "admin", "\x85", "\u200b"),
        *map(quote, "\xe9\u0301\uff0f\uff0e\uff3c\u2025\uff41\ufe56"),
    ]
)
PLAIN = st.lists(
    st.text(st.characters(categories=["L", "N", "S"], include_characters="-_.~ !$&'()*+,:@"), min_size=1).filter(
        lambda name: name == name.strip(" ").rstrip(". ") and name.isprintable() and name != ""
    ),
    min_size=1,
    max_size=4,
).map(lambda names: "/" + "/".join(names))


READERS: list[Callable[[str], str]] = [
    unquote,
    partial(normalize, "NFC"),
    partial(normalize, "NFKC"),
    lambda text: text.replace("\\", "/"),
    lambda text: re.sub("/+", "/", text),
    lambda text: posixpath.normpath(text) + ("/" if text.endswith("/") and text != "/" else ""),
    lambda text: re.sub(";[^/]*", "", text),
    lambda text: "/".join(name.rstrip(". ") for name in text.split("/")),
    lambda text: urlsplit(f"http://app{text}").path,
    lambda text: text.split("\0")[0].split("#")[0].split("?")[0],
]


class TestReadings:
    """Every reader of a path that is accepted reads the same path."""

    @PROPERTY
    @given(path=PLAIN, seed=st.randoms(use_true_random=False))
    def test_every_spelling_of_a_path_is_that_path(self, path: str, seed: Any) -> None:
        """Which characters are encoded, and with which hex digits, makes no difference to the rules."""
        spelled = "".join(
            quote(letter, safe="")
            if not letter.isascii() or not letter.isalnum()
            else seed.choice([letter, f"%{ord(letter):02x}", f"%{ord(letter):02X}"])
            for letter in path
        ).replace("%2F", "/")
        assert path_of(spelled) == path_of(quote(path)) == path or path_of(spelled) is None is path_of(quote(path))

    @PROPERTY
    @given(target=st.one_of(st.lists(PIECES).map("".join), st.lists(PIECES).map(lambda parts: "/" + "".join(parts))))
    @example(target="/public/..%2fadmin")
    @example(target="/public/%2e%2e/admin")
    def test_accepted_path_is_the_same_to_every_reader(self, target: str) -> None:
        """Whoever resolves dots, decodes again, merges slashes, turns backslashes or cuts parameters finds no other."""
        path = path_of(target)
        if path is None:
            return
        assert [reader(path) for reader in READERS] == [path] * len(READERS)
        assert unquote_to_bytes(target.partition("?")[0]).decode() == path

    @PROPERTY
    @given(
        method=st.binary(max_size=12) | st.sampled_from([b"GET", b"POST"]),
        target=st.binary(max_size=40) | st.lists(PIECES).map(lambda parts: "".join(parts).encode()),
        authorization=st.none() | st.binary(max_size=60),
    )
    def test_nothing_that_is_asked_is_an_error(self, method: bytes, target: bytes, authorization: bytes | None) -> None:
        """Any bytes at all get a verdict, and without a token only what is public passes."""
        headers = [*zip(ORIGINAL, (method, target), strict=True)]
        headers += [] if authorization is None else [(b"authorization", authorization)]
        answer = ask(SHARED, VERIFY, *headers)
        assert answer.status in {200, 400, 401, 403}
        if answer.status == 200:
            assert target.partition(b"?")[0].startswith(b"/a/")

    @PROPERTY
    @given(path=st.lists(PIECES).map(lambda parts: ("/" + "".join(parts)).encode("utf-8", "replace")))
    def test_envoy_path_gets_the_verdict_of_its_text(self, path: bytes) -> None:
        """However the path is told, it is judged alike."""
        raw, _, query = path.partition(b"?")
        enveloped = ask(SHARED_BY_ENVOY, "/", raw_path=VERIFY.encode() + raw, query_string=query)
        assert enveloped == ask(SHARED, VERIFY, *zip(ORIGINAL, (b"GET", path), strict=True))


SHARED_POOL = FakeUserPool()
SHARED = guard(SHARED_POOL, Rule(path="/a/", public=True), ANYBODY)
SHARED_BY_ENVOY = guard(SHARED_POOL, Rule(path="/a/", public=True), ANYBODY, proxy="envoy")


class TestProxies:
    """Which request is meant is told in one proxy's way."""

    RULES = (Rule(path="/open", methods="POST", public=True), ANYBODY)

    @pytest.mark.parametrize("proxy", PROXIES)
    def test_request_is_read_where_the_proxy_tells_it(self, pool: FakeUserPool, proxy: Proxy) -> None:
        """Method and path both count, and the query does not."""
        app = guard(pool, *self.RULES, proxy=proxy)
        asked = [
            ("POST", "/open"),
            ("POST", "/open?x=/"),
            ("GET", "/open"),
            ("POST", "/closed"),
            ("POST", "/open/../x"),
        ]
        statuses = [asked_by(proxy, app, method, target).status for method, target in asked]
        assert statuses == [200, 200, 401, 401, 403]

    @pytest.mark.parametrize("proxy", PROXIES)
    def test_words_of_other_proxies_are_never_heard(self, pool: FakeUserPool, proxy: Proxy) -> None:
        """A client can send the headers of a proxy that is not there."""
        app = guard(pool, *self.RULES, proxy=proxy)
        mine = WAYS.get(proxy, ())
        forged = [
            (name, value)
            for names in (
                ORIGINAL,
                FORWARDED,
                (b"x-original-url", b"x-rewrite-url"),
                (b"x_original_method", b"x_original_uri"),
            )
            for name, value in zip(names, (b"POST", b"/open"), strict=True)
            if name not in mine
        ]
        assert asked_by(proxy, app, "GET", "/closed", *forged).status == 401

    @pytest.mark.parametrize("proxy", WAYS)
    @pytest.mark.parametrize(
        "method, target",
        [
            pytest.param([], [], id="neither"),
            pytest.param([b"POST"], [], id="no path"),
            pytest.param([], [b"/open"], id="no method"),
            pytest.param([b"POST", b"POST"], [b"/open"], id="two methods"),
            pytest.param([b"POST"], [b"/open", b"/open"], id="two paths"),
            pytest.param([b"POST"], [b""], id="an empty path"),
            pytest.param([b""], [b"/open"], id="an empty method"),
            pytest.param([b"POST, POST"], [b"/open"], id="joined methods"),
        ],
    )
    def test_request_not_told_exactly_once_is_refused(
        self,
        pool: FakeUserPool,
        caplog: pytest.LogCaptureFixture,
        proxy: Proxy,
        method: list[bytes],
        target: list[bytes],
    ) -> None:
        """A proxy that is not configured as it should be lets nobody in."""
        names = WAYS[proxy]
        headers = [(names[0], value) for value in method] + [(names[1], value) for value in target]
        app = guard(pool, Rule(path="/", public=True), proxy=proxy)
        assert ask(app, VERIFY, *headers) == NOT_ALLOWED
        assert reasons(caplog) == [Reason.NOT_ADMITTED]

    @pytest.mark.parametrize("proxy", WAYS)
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            VERIFY + "/",
            VERIFY + "/open",
            "/-/VERIFY",
            "/%2d/verify",
            "//-/verify",
            "/x/../-/verify",
            "/-/verify;x",
            "",
        ],
    )
    def test_question_at_another_place_is_no_question(self, pool: FakeUserPool, proxy: Proxy, path: str) -> None:
        """A proxy that asks elsewhere, or an Envoy before a guard that expects another, gets no verdict."""
        app = guard(pool, Rule(path="/", public=True), proxy=proxy)
        told = [*zip(WAYS[proxy], (b"POST", b"/open"), strict=True)]
        assert ask(app, path or "/", *told, raw_path=path.encode()).status == 404

    @pytest.mark.parametrize(
        "path", ["/", VERIFY, "/open", "/-/verifyX/open", "/-/./verify/open", "/-//verify/open", ""]
    )
    def test_envoy_asks_below_its_prefix_alone(self, pool: FakeUserPool, path: str) -> None:
        """Without the prefix, nobody knows whose path it is."""
        app = guard(pool, Rule(path="/", public=True), proxy="envoy")
        assert ask(app, path or "/", raw_path=path.encode()).status == 404

    def test_server_that_keeps_no_raw_path_gets_no_verdict(self, pool: FakeUserPool) -> None:
        """A decoded path has lost what must be judged."""
        scope = connection(VERIFY)
        del scope["raw_path"]
        app = guard(pool, Rule(path="/", public=True), proxy="envoy")
        assert talk(app, scope)[0]["status"] == 404

    def test_decoded_path_is_never_looked_at(self, pool: FakeUserPool) -> None:
        """What the server made of the path decides nothing."""
        app = guard(pool, Rule(path="/open", public=True), proxy="envoy")
        assert ask(app, VERIFY + "/open", raw_path=VERIFY.encode() + b"/x/..%2fopen").status == 403
        assert ask(app, HEALTH, raw_path=VERIFY.encode() + b"/x").status == 403

    def test_upgrade_is_answered_with_a_close(self, pool: FakeUserPool) -> None:
        """Where a server makes a WebSocket of a question, nobody passes."""
        assert talk(guard(pool, Rule(path="/", public=True)), handshake(VERIFY)) == [
            {"type": "websocket.close", "code": 1008, "reason": ""}
        ]

    def test_other_connections_are_not_served(self, pool: FakeUserPool) -> None:
        """A server takes that for an application without lifespan."""
        with pytest.raises(ConfigurationError) as caught:
            talk(guard(pool), {"type": "lifespan"})
        assert caught.value.setting == "app"


class TestHealth:
    """Whether the service lives, and whether it can judge."""

    @pytest.mark.parametrize("proxy", PROXIES)
    def test_service_is_alive_without_keys(self, pool: FakeUserPool, proxy: Proxy) -> None:
        """Nothing is fetched for it: a restart would bring no keys."""
        with pool.serve() as keys:
            app = ForwardAuth(keys.verifier(), proxy=proxy, rules=[ANYBODY])
            assert ask(app, HEALTH).status == 200
            assert keys.requests == ()

    @pytest.mark.parametrize("proxy", PROXIES)
    def test_service_is_ready_with_keys_alone(self, pool: FakeUserPool, proxy: Proxy) -> None:
        """Ready means that the next good token would pass."""
        with pool.serve() as keys:
            keys.down()
            verifier = keys.verifier()
            assert ask(ForwardAuth(verifier, proxy=proxy, rules=[ANYBODY]), READY) == UNAVAILABLE
            keys.up()
            assert ask(ForwardAuth(keys.verifier(), proxy=proxy, rules=[ANYBODY]), READY).status == 200

    def test_tenant_out_of_reach_takes_nobody_out_of_rotation(self, pool: FakeUserPool) -> None:
        """Anybody can name a tenant whose endpoint is dead: that says nothing about the others' callers."""
        dead = FakeUserPool("eu-west-1_Dead", client_id=pool.client_id, clock=pool.clock)
        with pool.serve() as keys, dead.serve() as dead_keys:
            dead_keys.down()
            tenants = {pool.issuer: keys.verifier(), dead.issuer: dead_keys.verifier()}
            app = ForwardAuth(CognitoVerifier.by_issuer(tenants.get), proxy="nginx", rules=[ANYBODY])
            for tenant, status in ((pool, 200), (dead, 503)):
                assert asked_by("nginx", app, "GET", "/", bearer(tenant.access_token())).status == status
            assert ask(app, READY).status == 200

    @pytest.mark.parametrize("path", [HEALTH, READY])
    def test_client_can_not_reach_it_through_a_proxy(self, pool: FakeUserPool, path: str) -> None:
        """Behind Envoy every path of a client has the prefix before it; the other proxies ask at one path."""
        app = guard(pool, proxy="envoy")
        assert asked_by("envoy", app, "GET", path).status == 401
        assert asked_by("envoy", app, "GET", f"/..{path}").status == 403


class TestIdentityHeaders:
    """What the application is told of the caller."""

    @PROPERTY
    @given(st.text(), st.lists(st.text(min_size=1), unique=True), st.lists(st.text(min_size=1), unique=True))
    @example("jané doe", ["a b", "50%"], ["x\r\nSet-Cookie: y"])
    @example("%41", ["a%20b"], ["%"])
    @example("\ud800", [], [])
    def test_value_is_visible_ascii_and_can_be_read_back(self, name: str, scopes: list[str], groups: list[str]) -> None:
        """No claim, whatever is in it, breaks out of its header or is told wrongly."""
        claims = {
            "sub": name,
            "username": name,
            "client_id": name,
            "token_use": "access",
            "cognito:groups": groups,
        }
        told = IdentityHeaders().of(Principal(claims, user_pool_id="eu-west-1_x"), scopes)
        values = dict(told)
        assert all(re.fullmatch("[!-~ ]*", value) for value in values.values())
        assert unquote(values["X-Auth-Subject"], errors="surrogatepass") == name
        assert unquote(values["X-Auth-Username"], errors="surrogatepass") == name
        for header, given_values in (("X-Auth-Scopes", scopes), ("X-Auth-Groups", groups)):
            read = [unquote(value, errors="surrogatepass") for value in values[header].split(" ") if value]
            assert read == sorted(given_values)

    def test_what_is_usual_is_told_as_it_is(self, pool: FakeUserPool) -> None:
        """Scopes, ids and addresses need no decoding."""
        token = pool.access_token(username="jane.doe+x@example.com", scopes=["https://api.example.com/orders.read"])
        told = identity(verdict(guard(pool), "GET", "/", bearer(token)))
        assert told[b"x-auth-username"] == b"jane.doe+x@example.com"
        assert told[b"x-auth-scopes"] == b"https://api.example.com/orders.read"

    def test_group_without_a_name_is_no_group(self, pool: FakeUserPool) -> None:
        """A trigger can put one into a token; a value that begins with a blank is none that every server sends."""
        told = identity(verdict(guard(pool), "GET", "/", bearer(pool.access_token(groups=["", "admins"]))))
        assert told[b"x-auth-groups"] == b"admins"

    def test_machine_has_no_user_name(self, pool: FakeUserPool) -> None:
        """The header is there all the same, to replace a forged one."""
        told = identity(verdict(guard(pool), "GET", "/", bearer(pool.client_token())))
        assert [*told] == NAMES
        assert (told[b"x-auth-username"], told[b"x-auth-groups"]) == (b"", b"")
        assert told[b"x-auth-subject"] == told[b"x-auth-client-id"]

    def test_names_are_configurable(self, pool: FakeUserPool) -> None:
        """Applications have names of their own for it."""
        app = guard(pool, headers=IdentityHeaders(username="Remote-User", groups="X-Forwarded-Groups"))
        answer = verdict(app, "GET", "/", bearer(pool.access_token(username="jane", groups=["staff"])))
        assert dict(answer.headers)[b"remote-user"] == b"jane"
        assert dict(answer.headers)[b"x-forwarded-groups"] == b"staff"
        assert b"x-auth-username" not in dict(answer.headers)

    @pytest.mark.parametrize(
        "name",
        [
            *("", "X Auth", "X:Auth", "X-Auth\r\n", "X_Auth", "X-\u00c4uth", "Authorization", "content-length"),
            *("Host", "Set-Cookie", "X-Auth-Groups", "x-auth-groups", "Cache-Control", "Retry-After"),
            *("WWW-Authenticate", "X.Auth", "X'Auth", "Content-Encoding", "Proxy-Authorization", "X-Accel-Redirect"),
            *("Via", "X-Original-URI", "X-Forwarded-Uri", "x-forwarded-for", "Access-Control-Allow-Origin"),
            *("X-Auth\n", 5, None),
        ],
    )
    def test_name_that_can_not_be_is_refused(self, name: Any) -> None:
        """Neither what no header may be called, nor what means something else, nor one name for two."""
        with pytest.raises(ConfigurationError) as caught:
            IdentityHeaders(token_use=name)
        assert caught.value.setting == "token_use"


RESOURCE = "https://api.example.com/orders"
METADATA = {"resource": RESOURCE, "authorization_servers": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x"}
LISTS = ("methods", "scopes", "any_scopes", "groups", "any_groups", "acr", "client_id", "actor")
NOTHING: Mapping[str, object] = {"claims": dict[str, str](), **{key: list[str]() for key in LISTS}}
GOOD = {
    "proxy": "nginx",
    "verifier": {"user_pool_id": "eu-west-1_AbCdEf123", "client_id": "1h57kf5cpq17m0eml12EXAMPLE"},
    "rules": [{"path": "/"}],
}


class TestConfiguration:
    """A mistake is found at the start, and told by its name."""

    @pytest.mark.parametrize(
        "change, setting, problem",
        [
            pytest.param({"proxy": "ngnix"}, "proxy", "expected one of nginx, caddy", id="an unknown proxy"),
            pytest.param({"proxy": ["nginx"]}, "proxy", "expected one of", id="two proxies"),
            pytest.param({"proxy": ABSENT}, "proxy", "is required", id="no proxy"),
            pytest.param({"rules": ABSENT}, "rules", "is required", id="no rules"),
            pytest.param({"rules": []}, "rules", "at least one", id="an empty list of rules"),
            pytest.param({"rules": {"path": "/"}}, "rules", "expected a list, got dict", id="one rule alone"),
            pytest.param({"rules": ["/"]}, "rules[0]", "expected a table, got str", id="a path for a rule"),
            pytest.param({"rules": [{"public": True}]}, "rules[0].path", "is required", id="a rule without a path"),
            pytest.param({"rule": []}, "rule", "did you mean 'rules'?", id="a misspelled key"),
            pytest.param({"xyzzy": 1}, "xyzzy", "known are proxy, rules", id="an unknown key"),
            pytest.param(
                {"rules": [{"path": "/", "scope": "x"}]}, "rules[0].scope", "did you mean 'scopes'?", id="a singular"
            ),
            pytest.param(
                {"rules": [{"path": "/", "predicate": "x"}]}, "rules[0].predicate", "no such setting", id="a predicate"
            ),
            pytest.param(
                {"rules": [{"path": "/a"}, {"path": "b"}]}, "rules[1].path", "expected a decoded path", id="a bad path"
            ),
            pytest.param(
                {"rules": [{"path": "/", "methods": "get"}]}, "rules[0].methods", "in upper case", id="a bad method"
            ),
            pytest.param(
                {"rules": [{"path": "/", "scopes": "a b"}]},
                "rules[0].scopes",
                "expected",
                id="two scopes in one string",
            ),
            pytest.param(
                {"rules": [{"path": "/", "scopes": [5]}]}, "rules[0].scopes", "expected", id="a number for a scope"
            ),
            pytest.param({"rules": [{"path": "/", "max_age": -1}]}, "rules[0].max_age", "seconds", id="a negative age"),
            pytest.param(
                {"rules": [{"path": "/", "claims": "x"}]}, "rules[0].claims", "expected a table", id="a claim alone"
            ),
            *(
                pytest.param(
                    {"rules": [{"path": "/", key: nothing}]}, f"rules[0].{key}", "at least one", id=f"no {key}"
                )
                for key, nothing in NOTHING.items()
            ),
            pytest.param(
                {"rules": [{"path": "/", "public": True, "groups": "x"}]}, "rules[0].public", "excludes", id="both"
            ),
            pytest.param({"rules": [{"path": "/"}] * 2}, "rules[1]", "is never reached", id="a rule twice"),
            pytest.param({"headers": {"user": "X"}}, "headers.user", "no such setting", id="an unknown header"),
            pytest.param({"headers": {"subject": "X Y"}}, "headers.subject", "expected", id="a bad header name"),
            pytest.param({"headers": "X-Auth"}, "headers", "expected a table", id="a prefix for headers"),
            pytest.param({"verifier": "x"}, "verifier", "expected a table", id="no table for the verifier"),
            pytest.param(
                {"verifier": {"user_pool": "x"}},
                "verifier.user_pool",
                "did you mean",
                id="a misspelled verifier setting",
            ),
            pytest.param(
                {"verifier": {"user_pool_id": "x", "client_id": "y"}}, "verifier.user_pool_id", "", id="a bad user pool"
            ),
            pytest.param({"verifier": {}}, "verifier.user_pool_id", "is required", id="an empty verifier"),
            pytest.param({"verifier": ABSENT}, "COGNITO_USER_POOL_ID", "is required", id="no verifier at all"),
            pytest.param({"realm": 'a"b'}, "realm", "expected printable", id="a quote in the realm"),
            pytest.param({"token_from": "header"}, "token_from", "expected a list", id="one place in no list"),
            pytest.param({"token_from": []}, "token_from", "at least one", id="no place for a token"),
            pytest.param({"token_from": ["cookie"]}, "token_from[0]", "the name of a cookie", id="a nameless cookie"),
            pytest.param({"token_from": ["query"]}, "token_from[0]", "'header' or a table", id="the query string"),
            pytest.param(
                {"token_from": ["header", dict[str, str]()]},
                "token_from[1].cookie",
                "is required",
                id="an empty place for a token",
            ),
            pytest.param(
                {"token_from": [{"cookies": "x"}]}, "token_from[0].cookies", "did you mean", id="a misspelled cookie"
            ),
            pytest.param({"token_from": [{"cookie": "a=b"}]}, "token_from[0].cookie", "a name", id="a bad cookie name"),
            pytest.param({"token_from": [{"cookie": 5}]}, "token_from[0].cookie", "a name", id="a number for a cookie"),
            pytest.param({"metadata": RESOURCE}, "metadata", "expected a table", id="a URL for the metadata"),
            pytest.param(
                {"metadata": {"resource": RESOURCE}},
                "metadata.authorization_servers",
                "is required",
                id="metadata of no authorization server",
            ),
            pytest.param(
                {"metadata": METADATA | {"resource": "api"}}, "metadata.resource", "expected", id="a resource's name"
            ),
            pytest.param(
                {"metadata": METADATA | {"scope": "a/x"}}, "metadata.scope", "did you mean 'scopes'?", id="a scope"
            ),
            pytest.param(
                {"metadata": METADATA | {"scopes": "a b"}}, "metadata.scopes", "expected", id="two scopes in one"
            ),
        ],
    )
    def test_mistake_is_told_by_its_full_name(self, change: dict[str, Any], setting: str, problem: str) -> None:
        """Whoever wrote the file finds the line."""
        mapping = {name: value for name, value in (GOOD | change).items() if value is not ABSENT}
        with pytest.raises(ConfigurationError) as caught:
            from_mapping(mapping, environ={})
        assert caught.value.setting == setting
        assert problem in caught.value.problem

    def test_token_may_come_from_the_places_that_are_named(self) -> None:
        """The header alone by default; with cookies allowed, still one token a request."""
        cookie = b"cookie", b"theme=dark; session=" + SHARED_POOL.access_token().encode()
        header = bearer(SHARED_POOL.access_token())
        default = configured(SHARED_POOL)
        both = configured(SHARED_POOL, token_from=["header", {"cookie": "session"}])
        alone = configured(SHARED_POOL, token_from=[{"cookie": "session"}])
        assert [verdict(app, "GET", "/", cookie).status for app in (default, both, alone)] == [401, 200, 200]
        assert [verdict(app, "GET", "/", header).status for app in (default, both, alone)] == [200, 200, 401]
        assert verdict(both, "GET", "/", cookie, header) == NOT_ONE_TOKEN
        assert verdict(both, "GET", "/", cookie, cookie) == NOT_ONE_TOKEN

    @pytest.mark.parametrize("proxy", PROXIES)
    def test_metadata_is_named_in_challenges_and_served(self, proxy: Proxy) -> None:
        """Clients find the document by the challenge; a proxy may have it answered here, and it is no verdict."""
        app = configured(SHARED_POOL, proxy=proxy, metadata=METADATA | {"scopes": ["a/x"]})
        path = "/.well-known/oauth-protected-resource/orders"
        url = f'resource_metadata="https://api.example.com{path}"'.encode()
        challenge = dict(asked_by(proxy, app, "GET", "/").headers)[b"www-authenticate"]
        assert challenge == b'Bearer realm="cognito", ' + url
        served = ask(app, path)
        assert served.status == 200
        assert json.loads(served.body) == {
            "resource": RESOURCE,
            "authorization_servers": [METADATA["authorization_servers"]],
            "scopes_supported": ["a/x"],
            "bearer_methods_supported": ["header"],
        }
        assert ask(app, path, method="POST").status == 404
        assert asked_by(proxy, app, "GET", path).status == 401
        assert ask(configured(SHARED_POOL, proxy=proxy), path).status == 404

    def test_verifier_may_come_from_the_environment(self, pool: FakeUserPool) -> None:
        """The same file serves in every stage."""
        rules = {"proxy": "nginx", "rules": [{"path": "/"}]}
        environ = {"COGNITO_USER_POOL_ID": pool.user_pool_id, "COGNITO_CLIENT_ID": pool.client_id}
        assert verdict(from_mapping(rules, environ=environ), "GET", "/").status == 401

    def test_table_excludes_the_environment(self) -> None:
        """One of them has all of it: a variable that somebody set never mixes with a file."""
        environ = {"COGNITO_USER_POOL_ID": "eu-west-1_Another01"}
        mapping = GOOD | {"verifier": {"client_id": "x"}}
        with pytest.raises(ConfigurationError, match="is required"):
            from_mapping(mapping, environ=environ)

    @pytest.mark.parametrize(
        "content, problem",
        [
            pytest.param(None, "can't be read: No such file or directory", id="no file"),
            pytest.param(b"proxy = ", "is no TOML", id="broken TOML"),
            pytest.param(b"proxy = '\xff'", "is no TOML", id="no UTF-8"),
            pytest.param(b"proxy = 'nginx'\nproxy = 'caddy'", "is no TOML", id="a key twice"),
        ],
    )
    def test_file_that_can_not_be_read_is_told(self, tmp_path: Path, content: bytes | None, problem: str) -> None:
        """No error of another library escapes."""
        path = tmp_path / "guard.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigurationError) as caught:
            from_file(path)
        assert caught.value.setting == "config"
        assert problem in caught.value.problem

    @pytest.mark.parametrize("argument", ["verifier", "headers", "rules[0]"])
    def test_argument_of_another_type_is_refused(self, pool: FakeUserPool, argument: str) -> None:
        """Also code gets its mistakes told at once."""
        wrong: Any = object()
        arguments: dict[str, Any] = {"verifier": pool.verifier(), "headers": IdentityHeaders(), "rules": [ANYBODY]}
        arguments |= {"rules": [wrong]} if argument == "rules[0]" else {argument: wrong}
        with pytest.raises(ConfigurationError) as caught:
            ForwardAuth(arguments.pop("verifier"), proxy="nginx", **arguments)
        assert caught.value.setting == argument


@contextmanager
def serving(tmp_path: Path, proxy: Proxy) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Run `cognito-guard serve` with one public path; yield the process and its port."""
    config = tmp_path / "guard.toml"
    config.write_text(f"proxy = '{proxy}'\n[[rules]]\npath = '/open'\npublic = true\n[[rules]]\npath = '/closed'\n")
    command = [sys.executable, "-m", "cognito_guard", "serve", "--config", str(config), "--port", "0"]
    environ = os.environ | {"COGNITO_USER_POOL_ID": "eu-west-1_AbCdEf123", "COGNITO_CLIENT_ID": "x"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield process, int(line.removeprefix("listening on 127.0.0.1 port "))
        finally:
            # Popen waits for its end, however long that takes.
            process.kill()


def first_line(port: int, request: bytes) -> bytes:
    """Send raw bytes to a server, and return the first line of what it says."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connected:
        connected.sendall(request)
        with connected.makefile("rb") as answer:
            return answer.readline()


@pytest.fixture
def interruptible() -> Generator[None]:
    """Let a child be interrupted: in the background of a shell, SIGINT is ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class TestCommand:
    """`cognito-guard serve`; the tests behind real proxies have more of it."""

    @pytest.mark.usefixtures("interruptible")
    def test_rules_are_served_until_an_interrupt(self, tmp_path: Path) -> None:
        """The port is told once it answers, refusals are logged by their reason, and an interrupt is no failure."""
        told = "X-Original-Method: GET\r\nX-Original-URI"
        with serving(tmp_path, "nginx") as (process, port):
            lines = [
                first_line(port, f"GET {VERIFY} HTTP/1.1\r\nHost: x\r\n{told}: {path}\r\n\r\n".encode())
                for path in ("/open", "/closed", "/closed?secret", "/nowhere/secret")
            ]
            alive = first_line(port, f"GET {HEALTH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0
        assert [line.split()[1] for line in (*lines, alive)] == [b"200", b"401", b"401", b"403", b"200"]
        assert log.count("INFO cognito_guard: request refused: missing_token") == 2
        assert "no rule admits the request: no rule fits the method and path" in log
        assert "secret" not in log

    @pytest.mark.parametrize("proxy", ["nginx", "envoy"])
    def test_server_hands_no_odd_target_to_the_wrong_rule(self, tmp_path: Path, proxy: Proxy) -> None:
        """However a target is written, the server that is used does not make another one of it that passes."""
        targets = [
            *(b"/-/verify/closed", b"/-/verify/open/../closed", b"/-/verify/./open", b"//-/verify/open", b"/-/verify"),
            *(b"/-/verify//open", b"/-/verify/closed#/../open", b"/%2d/verify/open", b"/-/verify%2fopen", b"*", b"x"),
            *(b"http://x/-/verify/closed", b"http:///-/verify/closed", b"/-/verify/\xffopen", b"/-/verify/open\xe9"),
            *(b"/-/verify\\open", b"/-/verify/open\x00", b"/-/verify/closed?/-/verify/open", b"/-/verify;/open"),
        ]
        with serving(tmp_path, proxy) as (_, port):
            lines = [first_line(port, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target) for target in targets]
            passing = first_line(port, b"GET /-/verify/open HTTP/1.1\r\nHost: x\r\n\r\n")
        assert {line.split()[1] for line in lines if line} <= {b"400", b"401", b"403", b"404"}
        assert passing.split()[1] == (b"200" if proxy == "envoy" else b"404")

    def test_mistake_in_the_file_ends_with_two(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """One line says where and what."""
        path = tmp_path / "guard.toml"
        path.write_text(
            "proxy = 'nginx'\nrules = []\n[verifier]\nuser_pool_id = 'eu-west-1_AbCdEf123'\nclient_id = 'x'\n"
        )
        assert main(["serve", "--config", str(path)]) == 2
        expected = f"{path}: rules: expected at least one: what no rule fits is refused\n"
        assert capsys.readouterr().err == expected

    def test_file_is_required(self, capsys: pytest.CaptureFixture[str]) -> None:
        """There are no rules without one."""
        with pytest.raises(SystemExit) as exit_info:
            main(["serve"])
        assert exit_info.value.code == 2
        assert "--config" in capsys.readouterr().err

    def test_missing_extra_is_named(self) -> None:
        """Where uvicorn is missing, one line says what to install."""
        code = "import sys; sys.modules['uvicorn'] = None; from cognito_guard.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "serve", "--config", "x"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (ran.returncode, ran.stderr) == (2, "serve needs uvicorn: pip install 'cognito-guard[serve]'\n")


class TestDocumentation:
    """What is shown is what is tested."""

    FILES = sorted(path for path in EXAMPLES.iterdir() if path.is_file() and path.suffix != ".py")

    def test_example_is_a_configuration(self) -> None:
        """The file that the tests behind real proxies use is complete."""
        assert isinstance(from_file(EXAMPLES / "guard.toml"), ForwardAuth)

    def test_options_that_are_shown_are_options(self) -> None:
        """Each block of settings stands where it is shown: with the rest around it, a file."""
        blocks = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
        assert len(blocks) == 2
        for block in blocks:
            assert isinstance(from_mapping(GOOD | tomllib.loads(block)), ForwardAuth)

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
    def test_documentation_shows_the_files_that_are_tested(self, path: Path) -> None:
        """Each file stands there whole, letter by letter."""
        blocks = re.findall(r"```\w*\n(.*?)```", DOCS.read_text(), re.DOTALL)
        assert path.read_text() in blocks

    @pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile", "traefik-routes.yaml"])
    def test_proxy_that_copies_headers_by_name_names_them_all(self, name: str) -> None:
        """One that is forgotten would be the client's to forge; the other proxies copy by pattern."""
        shown = (EXAMPLES / name).read_text().lower()
        assert [header for header in NAMES if header.decode() not in shown] == []

    def test_demonstration_prints_what_it_should(self) -> None:
        """The example runs by itself, offline."""
        command = [sys.executable, "-W", "error", str(EXAMPLES / "demo.py")]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (ran.returncode, ran.stdout.splitlines()) == (
            0,
            [
                "GET /health 200 ",
                'GET /orders/1?page=2 401 Bearer realm="cognito", scope="orders/read"',
                "GET /orders/1?page=2 200 jane",
                (
                    'DELETE /orders/1 403 Bearer realm="cognito", error="insufficient_scope", '
                    'error_description="The token lacks a scope that is required", scope="orders/write"'
                ),
                "GET /admin/ 200 jane",
                "GET /health/../admin/ 403 ",
                "GET /nowhere 403 ",
            ],
        ), ran.stderr
        assert len((EXAMPLES / "demo.py").read_text().splitlines()) < 60
