"""
Verify the tokens of identity pools: what `GetOpenIdToken` and `GetOpenIdTokenForDeveloperIdentity` return.

They are another maker's than a user pool's: one issuer and one key set for the identity pools of every AWS
customer.  Signature and issuer therefore say nothing about whom a token was meant for; the audience, which is
the identity pool, is the whole boundary, and there is no way to leave it open.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

from .errors import ConfigurationError, InvalidClaimError, Reason, malformed_claim, missing_claim, wrong_issuer
from .keys.fetch import Fetch, HTTPSFetch
from .keys.freshness import RefreshSchedule
from .keys.keyset import InvalidKeySetError, Key, KeySet
from .keys.remote import RemoteKeys
from .keys.settings import check_settings
from .keys.source import KeySource, StaticKeys
from .pool import check_fetchable
from .settings import check_seconds, several
from .tokens.bearer import Headers, authorization_values, bearer_token
from .tokens.claims import check_times, issuer_of
from .tokens.jws import MAX_TOKEN_BYTES, Form, UnverifiedToken, is_array, parse
from .tokens.members import VerifiedClaims, text_of, time_of
from .tokens.policy import audience

__all__ = ["IdentityPoolVerifier", "IdentityPrincipal"]

MAX_IDENTITY_KEYS = 512
"""One document holds the keys of every Region, several of each."""

_FORM = Form(algorithm="RS512", types=frozenset({"jws", "jwt"}))
# The API's own pattern for ids, of pools and of identities.
_ID = re.compile(r"(?P<region>[\w-]+):[0-9a-f-]+", re.ASCII)
_MAX_ID_CHARS = 55
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]+")
# The service's names as AWS writes them into role trust policies; everywhere else it is one name for all Regions.
_HOSTS: Mapping[str, str] = {
    "us-gov-west-1": "cognito-identity-us-gov.amazonaws.com",
    "us-gov-east-1": "cognito-identity.us-gov-east-1.amazonaws.com",
    "cn-north-1": "cognito-identity.cn-north-1.amazonaws.com.cn",
}
_HOST = "cognito-identity.amazonaws.com"
# Partitions of their own, whose name for the service is not published.
_UNKNOWN_HOST = re.compile(r"us-gov-|cn-|us-iso|eu-iso|eusc-")
_JWKS_PATH = "/.well-known/jwks_uri"
_SIGNED_IN, _GUEST = "authenticated", "unauthenticated"

StringOrSeveral: TypeAlias = str | Iterable[str]


class IdentityPrincipal(VerifiedClaims):
    """
    Show a verified identity pool token's claims under their usual names.

    The same person has another identity id in each identity pool; it is no user pool's `sub`.
    """

    __slots__ = ()

    @property
    def issuer(self) -> str:
        """The `iss` claim, which says nothing about the identity pool."""
        return str(self.claims["iss"])

    @property
    def identity_pool_id(self) -> str:
        """The identity pool that vouches for the caller: the first of `audience`."""
        return self.audience[0]

    @property
    def audience(self) -> tuple[str, ...]:
        """The `aud` claim: the identity pool."""
        aud = self.claims["aud"]
        return (aud,) if isinstance(aud, str) else tuple(aud)

    @property
    def amr(self) -> tuple[str, ...]:
        """The `amr` claim: whether the caller signed in, and the login providers where they did."""
        return tuple(self.claims["amr"])

    @property
    def is_authenticated(self) -> bool:
        """Whether the caller signed in; False for a guest, of whom nothing is known but the identity id."""
        return _SIGNED_IN in self.amr

    @property
    def issued_at(self) -> int:
        """The `iat` claim, seconds since the epoch."""
        return int(self.claims["iat"])

    @property
    def expires_at(self) -> int:
        """The `exp` claim, seconds since the epoch."""
        return int(self.claims["exp"])


class IdentityPoolVerifier:
    """
    Verify the tokens of one identity pool or several.

    Make one per process and keep it: it holds the keys.  It may be shared by threads and event loops, and
    survives a fork.
    """

    def __init__(
        self,
        identity_pool_id: StringOrSeveral,
        *,
        authenticated_only: bool = True,
        issuer: str | None = None,
        jwks_uri: str | None = None,
        jwks: Mapping[str, Any] | None = None,
        allow_insecure_http: bool = False,
        leeway: float = 10.0,
        max_token_age: float | None = None,
        max_token_lifetime: float | None = None,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        schedule: RefreshSchedule = RefreshSchedule(),  # noqa: B008  (frozen)
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Configure; nothing is fetched before the first token or `prefetch`.

        Args:
            identity_pool_id: the identity pool or pools whose tokens are accepted, for example
                `eu-west-1:1b2c3d4e-...`; the Region is read from it.
            authenticated_only: whether guests are refused: anybody can have a guest's token who knows the id of
                an identity pool that allows them.
            issuer: the exact issuer in place of the derived one, for emulators and other partitions.
            jwks_uri: where the keys are, in place of the issuer's own place.
            jwks: a JWKS document to use for ever, with no network.
            allow_insecure_http: allow http:// for `jwks_uri` and `issuer`, on loopback hosts only.
            leeway: seconds, at most 300, by which our clock and the issuer's may differ.
            max_token_age: accept tokens only for so many seconds after `iat`, however late `exp` is.
            max_token_lifetime: accept only tokens that live at most so many seconds; a developer may ask for a day.
            max_token_bytes: refuse longer tokens unread.
            schedule: how long keys are trusted and how often they are asked for.
            fetch: gets a document in place of HTTPSFetch.
            clock: wall time, seconds since the epoch.
            timer: monotonic seconds.

        Raises:
            ConfigurationError: a value that can't be right; its `setting` names the argument.
        """
        check_settings(
            leeway=leeway, max_token_bytes=max_token_bytes, schedule=schedule, fetch=fetch, clock=clock, timer=timer
        )
        for name, value in (("max_token_age", max_token_age), ("max_token_lifetime", max_token_lifetime)):
            if value is not None:
                check_seconds(name, value)
        if not isinstance(authenticated_only, bool):
            raise ConfigurationError("authenticated_only", "expected True or False")
        self._pool_ids = _pool_ids(identity_pool_id)
        self._issuer = _derived_issuer(self._pool_ids) if issuer is None else _given_issuer(issuer)
        self._authenticated_only = authenticated_only
        self._leeway = leeway
        self._max_token_age = max_token_age
        self._max_token_lifetime = max_token_lifetime
        self._max_token_bytes = max_token_bytes
        self._clock = clock
        if jwks is None:
            uri = _fetchable(self._issuer, jwks_uri, allow_insecure_http)
            self._keys: KeySource = RemoteKeys(
                {self._issuer: uri}, schedule=schedule, fetch=fetch or HTTPSFetch(), read=_read, timer=timer
            )
        elif jwks_uri is not None or fetch is not None:
            raise ConfigurationError("jwks", "excludes jwks_uri and fetch: keys that are given are never fetched")
        else:
            self._keys = _given_keys(jwks)

    @property
    def identity_pool_ids(self) -> tuple[str, ...]:
        """The identity pools whose tokens are accepted."""
        return self._pool_ids

    @property
    def issuer(self) -> str:
        """The accepted issuer, which all identity pools of a partition share."""
        return self._issuer

    def verify(self, token: str) -> IdentityPrincipal:
        """
        Verify a token; may block for a fetch of keys, at most the schedule's deadline.

        Args:
            token: the compact JWS, without scheme; anything at all.

        Raises:
            InvalidTokenError: the token is not acceptable; `reason` says why, and of a guest `claim_mismatch`
                for `amr`.
            UnavailableError: the keys are out of reach.
        """
        unverified = self._parsed(token)
        key = self._keys.held(unverified.kid) or self._keys.get(self._issuer, unverified.kid)
        return self._judged(unverified, key)

    async def averify(self, token: str) -> IdentityPrincipal:
        """Verify a token as `verify` does, without blocking the event loop (asyncio)."""
        unverified = self._parsed(token)
        key = self._keys.held(unverified.kid) or await self._keys.aget(self._issuer, unverified.kid)
        return self._judged(unverified, key)

    def authenticate(self, headers: Headers) -> IdentityPrincipal:
        """
        Verify the bearer token of a request.

        Args:
            headers: all headers of the request: a mapping, or pairs as ASGI has them.

        Raises:
            MissingTokenError: the request carries no bearer token.
            InvalidRequestError: it carries more than one, or a broken one.
            InvalidTokenError, UnavailableError: as `verify` does.
        """
        return self.verify(bearer_token(authorization_values(headers)))

    async def aauthenticate(self, headers: Headers) -> IdentityPrincipal:
        """Verify the bearer token of a request as `authenticate` does, without blocking the event loop."""
        return await self.averify(bearer_token(authorization_values(headers)))

    def prefetch(self) -> None:
        """
        Have usable keys at hand before the first token.

        Raises:
            UnavailableError: they are out of reach; a later token tries again.
        """
        self._keys.prefetch()

    async def aprefetch(self) -> None:
        """Have usable keys at hand as `prefetch` does, without blocking the event loop."""
        await self._keys.aprefetch()

    def _parsed(self, token: str) -> UnverifiedToken:
        unverified = parse(token, max_bytes=self._max_token_bytes, form=_FORM)
        # Before any use of the network, and the only use of a claim that nobody has vouched for yet.
        if issuer_of(unverified) != self._issuer:
            raise wrong_issuer()
        return unverified

    def _judged(self, unverified: UnverifiedToken, key: Key) -> IdentityPrincipal:
        key.check_signature(unverified.signature, unverified.signing_input)
        claims = unverified.claims
        self._check_recipient(claims)
        self._check_identity(claims)
        for name in ("iat", "exp", *(("nbf",) if "nbf" in claims else ())):
            time_of(claims, name)
        check_times(claims, self._clock(), self._leeway, self._max_token_age, self._max_token_lifetime)
        self._check_login(claims)
        return IdentityPrincipal(claims=claims)

    def _check_recipient(self, claims: Mapping[str, Any]) -> None:
        if "aud" not in claims:
            raise missing_claim("aud")
        # Every audience must be one of ours, whichever else it names.
        if not set(self._pool_ids).issuperset(audience(claims)):
            raise InvalidClaimError(
                "aud", "mismatch", Reason.WRONG_AUDIENCE, "the token is of an identity pool that is not configured"
            )
        if "cnf" in claims:
            # Whoever stole such a token can't use it where possession is checked; nor may they here (RFC 9449 §7.1).
            raise InvalidClaimError("cnf", "mismatch", Reason.SENDER_CONSTRAINED, "the token is sender-constrained")

    def _check_identity(self, claims: Mapping[str, Any]) -> None:
        subject = _ID.fullmatch(text_of(claims, "sub"))
        if subject is None or len(subject[0]) > _MAX_ID_CHARS:
            raise malformed_claim("sub")
        if any(subject["region"] != pool_id.partition(":")[0] for pool_id in audience(claims)):
            raise InvalidClaimError(
                "sub", "mismatch", Reason.CLAIM_MISMATCH, "the identity is of another Region than its identity pool"
            )

    def _check_login(self, claims: Mapping[str, Any]) -> None:
        amr = claims.get("amr")
        if not is_array(amr) or not all(type(method) is str for method in amr):
            raise malformed_claim("amr") if "amr" in claims else missing_claim("amr")
        # Exactly one of the two: who is both, or neither, is nobody that can be told.
        if (_SIGNED_IN in amr) is (_GUEST in amr):
            raise malformed_claim("amr")
        if self._authenticated_only and _GUEST in amr:
            raise InvalidClaimError("amr", "mismatch", Reason.CLAIM_MISMATCH, "guests are not accepted here")

    def __repr__(self) -> str:
        return f"<IdentityPoolVerifier {', '.join(self._pool_ids)} {self._keys!r}>"


_read: Callable[[bytes], KeySet] = partial(KeySet.from_json, algorithm="RS512", max_keys=MAX_IDENTITY_KEYS)


def _pool_ids(identity_pool_id: StringOrSeveral) -> tuple[str, ...]:
    pool_ids = several("identity_pool_id", identity_pool_id)
    if not pool_ids:
        raise ConfigurationError("identity_pool_id", "expected at least one identity pool id")
    for pool_id in pool_ids:
        if len(pool_id) > _MAX_ID_CHARS or not _ID.fullmatch(pool_id):
            hint = "got a user pool id" if "_" in pool_id and ":" not in pool_id else f"got {pool_id!r}"
            raise ConfigurationError("identity_pool_id", f"expected an id like eu-west-1:1b2c3d4e-..., {hint}")
    return pool_ids


def _derived_issuer(pool_ids: tuple[str, ...]) -> str:
    issuers = {_issuer_in(pool_id.partition(":")[0]) for pool_id in pool_ids}
    if len(issuers) > 1:
        raise ConfigurationError("identity_pool_id", "expected identity pools of one partition, which have one issuer")
    return issuers.pop()


def _issuer_in(region: str) -> str:
    host = _HOSTS.get(region, _HOST)
    if not _REGION.fullmatch(region) or (host == _HOST and _UNKNOWN_HOST.match(region)):
        raise ConfigurationError("identity_pool_id", f"nothing is known of an issuer in {region!r}; give issuer=")
    return f"https://{host}"


def _given_issuer(issuer: str) -> str:
    issuers = several("issuer", issuer)
    if len(issuers) != 1:
        raise ConfigurationError("issuer", "expected one issuer")
    return str(issuers[0])


def _fetchable(issuer: str, jwks_uri: str | None, allow_insecure_http: bool) -> str:
    if jwks_uri is not None:
        check_fetchable("jwks_uri", jwks_uri, allow_insecure_http)
        return jwks_uri
    check_fetchable("issuer", issuer, allow_insecure_http)
    return issuer.removesuffix("/") + _JWKS_PATH


def _given_keys(jwks: Mapping[str, Any]) -> StaticKeys:
    if not isinstance(jwks, Mapping):
        raise ConfigurationError("jwks", f"expected a JWKS document as a mapping, got {type(jwks).__name__}")
    try:
        return StaticKeys(KeySet.from_document(jwks, algorithm="RS512", max_keys=MAX_IDENTITY_KEYS))
    except InvalidKeySetError as cause:
        raise ConfigurationError("jwks", f"expected a JWKS document with usable keys: {cause}") from cause
