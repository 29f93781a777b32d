"""Mutated tokens for the tests that compare verdicts with those of others: seeded, the same mutations in each run."""

from __future__ import annotations

import json
import string
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, TypeAlias

from cognito_guard.testing import ABSENT, AppClient, FakeClock, FakeUserPool
from cognito_guard.testing.keys import base64url

Mutate: TypeAlias = Callable[[Random, str], str]

RESOURCE = "https://orders.example.com"
FOREIGN_RESOURCE = "https://invoices.example.com"
LEEWAY = 10
LIFETIME = 3600

_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"  # in the order of RFC 4648 §5
_FOREIGN = "=+/. \t\n\0é\u2028,~%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """
    Hold a token to be judged.

    Attributes:
        kind: what was done to it.
        token: the text.
        now: when it is presented, in seconds since the epoch.
    """

    kind: str
    token: str
    now: float


class Herd:
    """
    Breed mutants from the tokens of one fake user pool, on a clock of its own.

    Attributes:
        pool: the pool whose tokens are judged.
        client_ids: the app clients whose access tokens are accepted.
    """

    def __init__(self) -> None:
        self.clock = FakeClock()
        machine = AppClient(client_id="2m0nachineclientexample", client_secret="s" * 24)
        self.pool = FakeUserPool(clock=self.clock, clients=[machine])
        self.client_ids = tuple(self.pool.clients)
        self._stranger = FakeUserPool("eu-west-1_Stranger1", clock=self.clock)

    def good_tokens(self) -> dict[str, str]:
        """Return one access token of each kind that Cognito issues and this resource server accepts."""
        pool, machine = self.pool, self.client_ids[1]
        updated = FakeUserPool(pool.user_pool_id, clock=self.clock, keys_of=pool, issuer_format="updated")
        return {
            "a user's, by the SDK": pool.access_token(),
            "a user's, by the managed login": pool.access_token(
                from_oauth_endpoint=True, scopes=["openid", "orders/read"], groups=["staff", "größe"]
            ),
            "without scopes": pool.access_token(scopes=()),
            "with a custom claim": pool.access_token(plan={"tier": [1, 2.5, None, "a\u0301"]}),
            "under the updated issuer": updated.access_token(),
            "a machine's": pool.client_token(client_id=machine, scopes=["orders/read"]),
            "bound to this resource": pool.bound_token(RESOURCE),
            "bound to its client": pool.access_token(audience=pool.client_id),
            "bound to several": pool.access_token(audience=[FOREIGN_RESOURCE, RESOURCE]),
            "delegated": pool.delegated_token("agent-7"),
            "signed with the other key": pool.access_token(key=pool.id_key),
            "with times that lie ahead by the leeway": pool.access_token(nbf=self._now + LEEWAY),
            "without any optional claim": pool.access_token(
                username=ABSENT, auth_time=ABSENT, origin_jti=ABSENT, jti=ABSENT, event_id=ABSENT
            ),
        }

    def foreign_tokens(self) -> dict[str, str]:
        """Return genuine or well-made tokens that are not for this resource server."""
        pool = self.pool
        return {
            "an ID token": pool.id_token(),
            "another client's": pool.access_token(client_id="3another"),
            "another resource's": pool.bound_token(FOREIGN_RESOURCE),
            "another pool's": self._stranger.access_token(),
            "another pool's under this one's name": self._stranger.access_token(issuer=pool.issuer),
            "forged": self._stranger.access_token(issuer=pool.issuer, header={"kid": pool.access_key.kid}),
            "a refresh token": pool.refresh_token(),
            "expired": pool.access_token(expires_in=-LEEWAY),
            "of tomorrow": pool.access_token(nbf=self._now + 86_400),
            "sender-constrained": pool.access_token(cnf={"jkt": "x"}),
        }

    def mutants(self, seed: int, count: int) -> Iterator[Mutant]:
        """
        Return so many mutants: first every listed one, then random ones, a tenth of them signed anew.

        Args:
            seed: the same one makes the same mutations; only keys and identifiers differ.
            count: how many.
        """
        rng = Random(seed)
        bases = [*self.good_tokens().values(), *self.foreign_tokens().values()]
        return islice(self._endless(rng, bases), count)

    @property
    def _now(self) -> int:
        return int(self.clock())

    def _endless(self, rng: Random, bases: list[str]) -> Iterator[Mutant]:
        yield from self._listed()
        while True:
            for mutate in _OF_TEXT:
                base = rng.choice(bases)
                yield self._mutant(mutate.__name__, mutate(rng, base))
            yield self._mutant("splice", _spliced(rng, bases))
            yield self._at_another_time(rng, bases)
            yield self._mutant("signed anew", self._signed_anew(rng))

    def _mutant(self, kind: str, token: str) -> Mutant:
        return Mutant(kind=kind, token=token, now=self.clock())

    def _listed(self) -> Iterator[Mutant]:
        for kind, token in (self.good_tokens() | self.foreign_tokens()).items():
            yield self._mutant(kind, token)
        for kind, parameters in _header_changes(self.pool.access_key.kid):
            yield self._mutant(f"header: {kind}", self.pool.access_token(header=parameters))
        for name in _CLAIMS:
            for value in _values(self._now):
                claims: dict[str, Any] = {name: value}
                yield self._mutant(f"claim: {name}", self._signed(claims))
        for kind, header, payload in self._spellings():
            yield self._mutant(f"spelling: {kind}", self.pool.sign(header, payload))
        for kind, token in self._paddings():
            yield self._mutant(f"base64url: {kind}", token)

    def _spellings(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Write what JSON says once in every other way that some parser takes."""
        header, payload = map(_decoded, self.pool.access_token().split(".")[:2])
        opened, twice = payload[1:], payload[:-1]
        yield "white space", b"\t" + header + b"\r\n", b" \n" + payload + b" "
        yield "other white space", header, b"\f" + payload
        yield "escaped names", header, payload.replace(b'"scope"', b'"\\u0073cope"')
        yield "escaped values", header, payload.replace(b"aws", b"\\u0061ws")
        yield "a member twice", header, twice + b',"sub":"mallory"}'
        yield "a member twice, the same", header, twice + b',"token_use":"access"}'
        yield "a header parameter twice", header[:-1] + b',"alg":"RS256"}', payload
        yield "an inner member twice", header, b'{"custom:x":{"a":1,"a":2},' + opened
        yield "NaN", header, b'{"custom:x":NaN,' + opened
        yield "Infinity", header, b'{"custom:x":[-Infinity],' + opened
        yield "NaN in the header", b'{"x":NaN,' + header[1:], payload
        yield "a byte order mark", header, b"\xef\xbb\xbf" + payload
        yield "UTF-16", header, payload.decode().encode("utf-16")
        yield "UTF-32 header", header.decode().encode("utf-32-le"), payload
        yield "a surrogate in UTF-8", header, b'{"custom:x":"\xed\xa0\x80",' + opened
        yield "an escaped lone surrogate", header, b'{"custom:x":"\\ud800",' + opened
        yield "an escaped pair of surrogates", header, b'{"custom:x":"\\ud83d\\ude00",' + opened
        yield "latin-1", header, b'{"custom:x":"\xe9",' + opened
        yield "an array of claims", header, b"[" + payload + b"]"
        yield "null", header, b"null"
        yield "a text", header, b'"' + b"x" * 40 + b'"'
        yield "nothing", header, b""
        yield "a trailing comma", header, twice + b",}"
        yield "a comment", header, payload + b"/**/"
        yield "two objects", header, payload + payload
        yield "a big number", header, b'{"custom:x":1e400,' + opened
        for digits in (4000, 5000):
            yield f"{digits} digits", header, b'{"custom:x":' + b"9" * digits + b"," + opened
        for depth in (30, 33, 500):
            yield f"depth {depth}", header, b'{"custom:x":' + b"[" * depth + b"]" * depth + b"," + opened
        for size in (8_000, 12_400, 40_000):
            yield f"{size} bytes", header, b'{"custom:x":"' + b"x" * size + b'",' + opened

    def _paddings(self) -> Iterator[tuple[str, str]]:
        header, payload, signature = self.pool.access_token().split(".")
        for pad in ("=", "=="):
            yield f"signature{pad}", f"{header}.{payload}.{signature}{pad}"
        yield "all padded", ".".join(part + "=" * (-len(part) % 4) for part in (header, payload, signature))
        yield "spare bits", f"{header}.{payload}.{signature[:-1]}{_with_spare_bit(signature[-1])}"
        yield "line break", f"{header}.{payload}.{signature}\n"
        yield "no signature", f"{header}.{payload}."
        yield "standard alphabet", ".".join((header, payload, signature.translate(str.maketrans("-_", "+/"))))
        for rest in range(3):
            # One of three lengths leaves a payload that wants padding.
            head, body, end = self.pool.access_token(x="x" * rest).split(".")
            yield "payload padded", f"{head}.{body}{'=' * (-len(body) % 4)}.{end}"

    def _at_another_time(self, rng: Random, bases: list[str]) -> Mutant:
        edge = rng.choice([0, LIFETIME])
        shift = edge + rng.choice([-LEEWAY, 0, LEEWAY]) + rng.choice([-1, -0.001, 0, 0.001, 1])
        return Mutant(kind="at another time", token=rng.choice(bases), now=self._now + shift)

    def _signed_anew(self, rng: Random) -> str:
        names = rng.sample(_CLAIMS, rng.randint(1, 3))
        values = _values(self._now)
        claims: dict[str, Any] = {name: rng.choice(values) for name in names}
        return self._signed(claims)

    def _signed(self, claims: Mapping[str, Any]) -> str:
        header, payload, _ = self.pool.access_token(groups=["staff"], audience=RESOURCE).split(".")
        issued = json.loads(_decoded(payload)) | claims
        present = {name: value for name, value in issued.items() if value is not ABSENT}
        return self.pool.sign(_decoded(header), present)


_CLAIMS = [
    *("iss", "sub", "token_use", "exp", "iat", "nbf", "auth_time", "client_id", "aud", "scope", "username"),
    *("cognito:username", "cognito:groups", "jti", "origin_jti", "acr", "amr", "act", "cnf", "email", "custom:x"),
]


def _values(now: int) -> list[Any]:
    """Return what a claim may hold instead."""
    return [
        *(ABSENT, None, True, False, 0, 1, -1, 1.5, -0.0, now, now + 60, now - 60, float(now + 60), now + 60.5),
        *(f"{now + 60}", f" {now + 60} ", "9_999_999_999", "", " ", "x", "access", "id", "staff orders/read", "é"),
        *([], ["x"], ["staff", "admin"], ["staff", 7], [None], [[]], {}, {"sub": "agent"}, {"a": [1, {"b": None}]}),
        *(2**31, 2**53, 2**53 + 1, 2**64, 1e18, [RESOURCE], [RESOURCE, FOREIGN_RESOURCE], RESOURCE, FOREIGN_RESOURCE),
        *("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1/", ["1h57kf5cpq17m0eml12example"]),
    ]


def _header_changes(kid: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    algorithms = ("none", "None", "HS256", "RS384", "PS256", "ES256", "EdDSA", "rs256", "", " RS256")
    types = ("JWT", "jwt", "application/jwt", "at+jwt", "application/at+jwt", "JOSE", "dpop+jwt", "")
    values: dict[str, list[Any]] = {
        "alg": [*algorithms, None, 1, ["RS256"]],
        "typ": [*types, None, 1, ["JWT"]],
        "crit": [[], ["exp"], ["b64"], ["x"], "x", None, {}],
        **{name: [True, False, None, "JWT", "DEF"] for name in ("b64", "zip", "enc", "cty")},
        **{name: ["https://attacker.example/jwks.json"] for name in ("jku", "x5u", "x5t", "unknown")},
        "x5c": [["TWFsbG9yeQ=="]],
    }
    for name, others in values.items():
        for value in others:
            yield f"{name} {value!r}", {name: value}
    kids: dict[str, Any] = {
        "empty": "",
        "x": "x",
        "with a blank": f"{kid} ",
        "in lower case": kid.lower(),
        "long": "k" * 257,
    }
    kids |= {"a path": "../../dev/null", "null": None, "a number": 7, "a list": [kid], "an object": {"kid": kid}}
    for kind, other in (kids | {"absent": ABSENT}).items():
        yield f"kid {kind}", {"kid": other}
    yield "no alg", {"alg": ABSENT}
    yield "jwk", {"jwk": {"kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB"}}


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _with_spare_bit(last: str) -> str:
    return _ALPHABET[_ALPHABET.index(last) ^ 1]


def flip_a_bit(rng: Random, token: str) -> str:
    """Flip one bit of one character."""
    position = rng.randrange(len(token))
    return token[:position] + chr(ord(token[position]) ^ 1 << rng.randrange(8)) + token[position + 1 :]


def replace_a_letter(rng: Random, token: str) -> str:
    """Put another letter of the alphabet somewhere, or a foreign one."""
    position = rng.randrange(len(token))
    return token[:position] + rng.choice(_ALPHABET + _FOREIGN) + token[position + 1 :]


def insert(rng: Random, token: str) -> str:
    """Insert a few characters."""
    position = rng.randint(0, len(token))
    inserted = "".join(rng.choices(_ALPHABET + _FOREIGN, k=rng.randint(1, 3)))
    return token[:position] + inserted + token[position:]


def cut(rng: Random, token: str) -> str:
    """Leave out a piece."""
    first, last = sorted(rng.choices(range(len(token) + 1), k=2))
    return token[:first] + token[last:] if rng.random() < 0.5 else token[first:last]


def swap_segments(rng: Random, token: str) -> str:
    """Put the segments in another order, one of them twice perhaps, or not at all."""
    segments = token.split(".")
    return ".".join(rng.choices(segments, k=rng.randint(1, 5)))


def edit_a_segment(rng: Random, token: str) -> str:
    """Change the JSON of header or claims, under the signature as it was."""
    segments = token.split(".")
    if len(segments) != 3:
        return token
    which = rng.randrange(2)
    document = json.loads(_decoded(segments[which]))
    name = rng.choice([*document, "exp", "admin", "crit"])
    others: list[Any] = [None, 2**40, "admin", ["x"], {}]
    document[name] = rng.choice(others)
    segments[which] = base64url(json.dumps(document).encode())
    return ".".join(segments)


def respell(rng: Random, token: str) -> str:
    """Write the same octets in another way that a lenient decoder takes."""
    segments = token.split(".")
    which = rng.randrange(len(segments))
    segment = segments[which]
    other_ways = [
        segment + "=" * (-len(segment) % 4),
        segment + "=",
        segment.translate(str.maketrans("-_", "+/")),
        segment[:-1] + (_with_spare_bit(segment[-1]) if segment else ""),
        f"{segment[:8]}\n{segment[8:]}",
        f" {segment}",
        f"{segment[:5]}%{segment[5:]}",
    ]
    segments[which] = rng.choice(other_ways)
    return ".".join(segments)


_OF_TEXT: tuple[Mutate, ...] = (flip_a_bit, replace_a_letter, insert, cut, swap_segments, edit_a_segment, respell)


def _spliced(rng: Random, bases: list[str]) -> str:
    """Take each segment from another token."""
    taken = [rng.choice(bases).split(".") for _ in range(3)]
    return ".".join(segments[place] for place, segments in enumerate(taken))
