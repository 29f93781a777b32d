"""
From the header `x-amzn-oidc-data` to who has signed in at the load balancer.

The endpoint of the keys serves those of every AWS customer in the Region: a good signature says that *a* load
balancer wrote the text.  Which one stands in the text itself (`signer`), together with the issuer and the client
that signed the user in, and how long all of it holds; they are parameters of the JOSE header, and every one is
checked.  `x-amzn-oidc-identity` beside it is signed by nobody, and never read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from ..abstract import Verifier
from ..errors import (
    ConfigurationError,
    InvalidClaimError,
    InvalidRequestError,
    MissingTokenError,
    Reason,
    wrong_issuer,
)
from ..keys.fetch import Fetch, HTTPSFetch
from ..keys.freshness import RefreshSchedule
from ..keys.keyset import Key
from ..keys.settings import check_settings
from ..pool import UserPool, check_fetchable
from ..principal import Principal
from ..settings import several
from ..tokens.bearer import Headers, header_values
from ..tokens.jws import MAX_TOKEN_BYTES, Form, JSONObject, UnverifiedToken, header_of, parse
from ..tokens.members import VerifiedClaims, check_not_expired, text_of, time_of
from .keys import KeyPlace, LoadBalancerKeys

_FORM = Form(algorithm="ES256", types=frozenset({"jwt"}), is_padded=True)
_DATA, _ACCESS_TOKEN = "x-amzn-oidc-data", "x-amzn-oidc-accesstoken"
_ARN = re.compile(
    r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+):[0-9]{12}"
    r":loadbalancer/app/[A-Za-z0-9-]{1,32}/[0-9a-f]{1,32}"
)
_GOVERNMENT_REGIONS = ("us-gov-west-1", "us-gov-east-1")
# Partitions of their own, whose place for the keys is not published.
_UNKNOWN_PLACE = re.compile(r"us-gov-|cn-|us-iso|eu-iso|eusc-")

StringOrSeveral: TypeAlias = str | Iterable[str]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ALBPrincipal(VerifiedClaims):
    """
    Show who has signed in at the load balancer.

    Attributes:
        claims: what the user info endpoint told the load balancer, read-only; strings for the most part, where a
            token would have booleans.
        load_balancer_arn: the load balancer that vouches for the caller.
        issuer: who signed the user in.
        client_id: the app client of the load balancer.
        expires_at: until when the statement holds, seconds since the epoch.
        principal: the caller as the access token shows it, where that is verified too; else None.
    """

    load_balancer_arn: str
    issuer: str
    client_id: str
    expires_at: int
    principal: Principal | None = None

    def __hash__(self) -> int:
        # Else the dataclass has its own, of all fields; a mapping among them has none.
        return VerifiedClaims.__hash__(self)


class ALBVerifier:
    """
    Verify what one Application Load Balancer, or several of one Region, say of the users that they signed in.

    Make one per process and keep it: it holds the keys.  It may be shared by threads and event loops, and
    survives a fork.  Requests that don't come through the load balancer must not reach the application at all:
    what is verified here can be replayed by whoever has seen it, until it expires.
    """

    def __init__(
        self,
        load_balancer_arn: StringOrSeveral,
        *,
        client_id: StringOrSeveral,
        user_pool_id: str | None = None,
        issuer: StringOrSeveral | None = None,
        access_token_verifier: Verifier | None = None,
        public_keys_uri: str | None = None,
        allow_insecure_http: bool = False,
        leeway: float = 10.0,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        schedule: RefreshSchedule = RefreshSchedule(cooldown=1.0, burst=10),  # noqa: B008  (frozen)
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Configure; nothing is fetched before the first request.

        Args:
            load_balancer_arn: the load balancer or load balancers that may sign; the Region is read from it.
            client_id: the app client or clients that they sign users in with.
            user_pool_id: the user pool that they sign users in at.
            issuer: the exact issuer or issuers, in place of a user pool: what their configuration calls the issuer.
            access_token_verifier: verifies `x-amzn-oidc-accesstoken` as well, which must then be there, and of the
                same user and client.
            public_keys_uri: what stands before the key ID in the place of the keys, in place of the Region's own.
            allow_insecure_http: allow http:// for `public_keys_uri`, on loopback hosts only.
            leeway: seconds, at most 300, by which our clock and the load balancer's may differ.
            max_token_bytes: refuse longer texts unread.
            schedule: how long keys are trusted; `cooldown` and `burst` are for key IDs under which no signature was
                good yet.  Each of them is a document of its own: more of them are let through than by default.
            fetch: gets a document in place of HTTPSFetch.
            clock: wall time, seconds since the epoch.
            timer: monotonic seconds.

        Raises:
            ConfigurationError: a value that can't be right; its `setting` names the argument.
        """
        check_settings(
            leeway=leeway, max_token_bytes=max_token_bytes, schedule=schedule, fetch=fetch, clock=clock, timer=timer
        )
        if access_token_verifier is not None and not isinstance(access_token_verifier, Verifier):
            raise ConfigurationError("access_token_verifier", "expected a CognitoVerifier, or None")
        self._arns = several("load_balancer_arn", load_balancer_arn)
        region = _region_of(self._arns)
        self._client_ids = several("client_id", client_id)
        if not self._client_ids:
            raise ConfigurationError("client_id", "expected at least one app client ID")
        self._issuers = _issuers(user_pool_id, issuer)
        self._access_token_verifier = access_token_verifier
        self._leeway = leeway
        self._max_token_bytes = max_token_bytes
        self._clock = clock
        if public_keys_uri is not None:
            check_fetchable("public_keys_uri", public_keys_uri, allow_insecure_http)
        self._keys = LoadBalancerKeys(
            (public_keys_uri or _place_in(region)).removesuffix("/"),
            schedule=schedule,
            fetch=fetch or HTTPSFetch(),
            timer=timer,
        )

    @property
    def load_balancer_arns(self) -> tuple[str, ...]:
        """The load balancers that may sign."""
        return self._arns

    @property
    def issuers(self) -> tuple[str, ...]:
        """Who may have signed the user in."""
        return self._issuers

    def verify(self, data: str, access_token: str | None = None) -> ALBPrincipal:
        """
        Verify what the load balancer says; may block for a fetch of keys, at most the schedule's deadline for each.

        Args:
            data: the value of `x-amzn-oidc-data`; anything at all.
            access_token: the value of `x-amzn-oidc-accesstoken`; only looked at with an `access_token_verifier`.

        Raises:
            MissingTokenError: there must be an access token, and none is given.
            InvalidTokenError: either of them is not acceptable; `reason` says why.
            InsufficientScopeError: the access token lacks a scope that its verifier requires.
            UnavailableError: the keys are out of reach, or too many unknown ones were asked for.
        """
        unverified, header = self._parsed(data)
        place = self._keys.place(unverified.kid)
        key = place.held(unverified.kid) or place.get(unverified.kid, unverified.kid)
        self._check_signed(unverified, header, key, place)
        principal: Principal | None = None
        if self._access_token_verifier is not None:
            principal = self._access_token_verifier.verify(_required(access_token))
        return _principal_of(unverified.claims, header, principal)

    async def averify(self, data: str, access_token: str | None = None) -> ALBPrincipal:
        """Verify as `verify` does, without blocking the event loop (asyncio)."""
        unverified, header = self._parsed(data)
        place = self._keys.place(unverified.kid)
        key = place.held(unverified.kid) or await place.aget(unverified.kid, unverified.kid)
        self._check_signed(unverified, header, key, place)
        principal: Principal | None = None
        if self._access_token_verifier is not None:
            principal = await self._access_token_verifier.averify(_required(access_token))
        return _principal_of(unverified.claims, header, principal)

    def authenticate(self, headers: Headers) -> ALBPrincipal:
        """
        Verify the headers that the load balancer adds to a request.

        Args:
            headers: all headers of the request: a mapping, or pairs as ASGI has them.

        Raises:
            MissingTokenError: the request carries no `x-amzn-oidc-data`, as one has that the load balancer let
                through unauthenticated, or no access token where there must be one.
            InvalidRequestError: it carries one of them more than once.
            InvalidTokenError, InsufficientScopeError, UnavailableError: as `verify` does.
        """
        return self.verify(*self._values(headers))

    async def aauthenticate(self, headers: Headers) -> ALBPrincipal:
        """Verify the load balancer's headers as `authenticate` does, without blocking the event loop."""
        return await self.averify(*self._values(headers))

    def _values(self, headers: Headers) -> tuple[str, str | None]:
        # Both are looked for: an iterator would be used up by the first.
        kept: Headers = cast("Mapping[str, str]", headers) if isinstance(headers, Mapping) else tuple(headers)
        access_token = None if self._access_token_verifier is None else _one_value(kept, _ACCESS_TOKEN)
        return _one_value(kept, _DATA), access_token

    def _parsed(self, data: str) -> tuple[UnverifiedToken, JSONObject]:
        """Judge all that the header says, before any use of the network."""
        unverified = parse(data, max_bytes=self._max_token_bytes, form=_FORM)
        header = header_of(unverified)
        if text_of(header, "signer") not in self._arns:
            # Its keys come from the same place: nothing else tells another customer's load balancer from ours.
            raise InvalidClaimError(
                "signer", "mismatch", Reason.WRONG_ISSUER, "the signer is none of the configured load balancers"
            )
        if text_of(header, "iss") not in self._issuers:
            raise wrong_issuer()
        if text_of(header, "client") not in self._client_ids:
            raise _wrong_client("client")
        check_not_expired(header, self._clock(), self._leeway)
        return unverified, header

    def _check_signed(self, unverified: UnverifiedToken, header: JSONObject, key: Key, place: KeyPlace) -> None:
        key.check_signature(unverified.signature, unverified.signing_input)
        self._keys.keep(unverified.kid, place)
        claims = unverified.claims
        text_of(claims, "sub")
        # The claims repeat these two, and nothing promises that they do.
        if "iss" in claims and text_of(claims, "iss") != header["iss"]:
            raise wrong_issuer()
        if "exp" in claims:
            check_not_expired(claims, self._clock(), self._leeway)

    def __repr__(self) -> str:
        return f"<ALBVerifier {', '.join(self._arns)} {self._keys!r}>"


def _principal_of(claims: JSONObject, header: JSONObject, principal: Principal | None) -> ALBPrincipal:
    if principal is not None:
        if principal.subject != claims["sub"]:
            raise InvalidClaimError("sub", "mismatch", Reason.CLAIM_MISMATCH, "the access token is another user's")
        if principal.client_id != header["client"]:
            raise _wrong_client("client_id")
    return ALBPrincipal(
        claims=claims,
        load_balancer_arn=header["signer"],
        issuer=header["iss"],
        client_id=header["client"],
        expires_at=time_of(header, "exp"),
        principal=principal,
    )


def _wrong_client(claim: str) -> InvalidClaimError:
    return InvalidClaimError(claim, "mismatch", Reason.WRONG_CLIENT, "signed in with a client that is not configured")


def _required(access_token: str | None) -> str:
    if access_token is None:
        raise MissingTokenError
    return access_token


def _one_value(headers: Headers, name: str) -> str:
    values = header_values(headers, name)
    if not values:
        raise MissingTokenError
    if len(values) > 1:
        # Whoever gets past the load balancer with a header of their own would have it beside the genuine one.
        raise InvalidRequestError(Reason.REPEATED_HEADER, f"the request carries {name} more than once")
    return values[0].strip(" \t")


def _region_of(arns: tuple[str, ...]) -> str:
    found = [_ARN.fullmatch(arn) for arn in arns]
    regions = {match["region"] for match in found if match is not None}
    if not found or None in found:
        raise ConfigurationError(
            "load_balancer_arn",
            "expected the ARN of an Application Load Balancer: "
            "arn:aws:elasticloadbalancing:<region>:<account>:loadbalancer/app/<name>/<id>",
        )
    if len(regions) > 1:
        raise ConfigurationError("load_balancer_arn", "expected load balancers of one Region, whose keys are together")
    return regions.pop()


def _place_in(region: str) -> str:
    if region in _GOVERNMENT_REGIONS:
        return f"https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}"
    if _UNKNOWN_PLACE.match(region):
        raise ConfigurationError(
            "load_balancer_arn", f"nothing is known of the place of the keys in {region!r}; give public_keys_uri="
        )
    return f"https://public-keys.auth.elb.{region}.amazonaws.com"


def _issuers(user_pool_id: str | None, issuer: StringOrSeveral | None) -> tuple[str, ...]:
    if (user_pool_id is None) is (issuer is None):
        raise ConfigurationError("user_pool_id", "expected either it or issuer: who signs users in is never left open")
    if user_pool_id is not None:
        return UserPool.create(user_pool_id).issuers
    issuers = several("issuer", issuer)
    if not issuers:
        raise ConfigurationError("issuer", "expected at least one")
    return issuers
