"""
The front door: a token goes in, a principal comes out.

Policy, keys, the clock and the pure checks are put together here in the order in which they must run:
shape, header, issuer, key, signature, claims, client, revocations.  Each step is the reason why the next one is safe.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from .abstract import PoolVerifier, Verifier
from .emulators import Emulator, emulator_arguments
from .errors import wrong_issuer
from .keys.fetch import Fetch
from .keys.freshness import RefreshSchedule
from .keys.keyset import Key
from .keys.settings import check_settings
from .keys.source import key_source
from .pool import IssuerFormat, UserPool
from .principal import Principal, principal_of
from .requires import Requirement, Requires
from .revocations import RevocationCheck, Revocations
from .routing import AnyOf
from .scopes import closure, scope_names
from .settings import arguments_from_env, arguments_from_mapping, named_as_variables, several
from .tenants import ByIssuer
from .tokens.claims import check_times, issuer_of
from .tokens.jws import MAX_TOKEN_BYTES, UnverifiedToken, parse
from .tokens.memo import Memo, Verified
from .tokens.policy import ANY_CLIENT, AnyClient, Policy, ResourceBinding, TokenUse

if TYPE_CHECKING:
    from .explain import Explanation

StringOrSeveral: TypeAlias = str | Iterable[str]

# A user pool signs with two keys at a time; the rest is room for rotations.
_MAX_KNOWN_HEADERS = 64


class CognitoVerifier(PoolVerifier):
    """
    Verify the tokens of one Amazon Cognito user pool.

    Make one per process and keep it: it holds the keys.  It may be shared by threads and event loops, and
    survives a fork.
    """

    def __init__(
        self,
        user_pool_id: str,
        *,
        client_id: StringOrSeveral | AnyClient,
        token_use: TokenUse | Iterable[TokenUse] = "access",
        resource: StringOrSeveral = (),
        resource_binding: ResourceBinding | Mapping[str, ResourceBinding] = "optional",
        required_scopes: StringOrSeveral = (),
        implies: Mapping[str, Iterable[str]] = MappingProxyType({}),
        issuer_format: IssuerFormat = "both",
        replica_regions: Iterable[str] = (),
        issuer: StringOrSeveral | None = None,
        jwks_uri: str | None = None,
        jwks: Mapping[str, Any] | None = None,
        allow_insecure_http: bool = False,
        leeway: float = 10.0,
        max_token_age: float | None = None,
        max_token_lifetime: float | None = None,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        revocations: Revocations | None = None,
        token_cache_size: int = 4096,
        schedule: RefreshSchedule = RefreshSchedule(),  # noqa: B008  (frozen)
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Configure; nothing is fetched before the first token or `prefetch`.

        Args:
            user_pool_id: for example `eu-west-1_AbCdEf123`; the Region is read from it.
            client_id: the app client or clients whose tokens are accepted; ANY_CLIENT accepts every client
                of the pool, and then needs `resource` or `required_scopes` in its place.
            token_use: "access" (the one for APIs), "id", or both.
            resource: this API's identifier or identifiers, as clients name it in `resource=` (RFC 8707).
            resource_binding: whether access tokens must be bound to `resource`: "optional" or "required",
                or one of them per client ID, where clients not named are "required".
            required_scopes: scopes that every token must carry, whatever the operation.
            implies: scopes that include others, for example {"api/admin": ["api/read"]}.
            issuer_format: pin one of Cognito's two issuer forms, "original" or "updated", or accept "both".
            replica_regions: Regions that the pool is replicated to.
            issuer: exact issuer strings in place of the derived ones, for emulators.
            jwks_uri: where the keys are, in place of the issuers' own places.
            jwks: a JWKS document to use for ever, with no network.
            allow_insecure_http: allow http:// for `jwks_uri` and `issuer`, on loopback hosts only.
            leeway: seconds, at most 300, by which our clock and Cognito's may differ.
            max_token_age: accept tokens only for so many seconds after `iat`, however late `exp` is.
            max_token_lifetime: accept only tokens that live at most so many seconds.
            max_token_bytes: refuse longer tokens unread.
            revocations: is asked at each request whether the token was revoked: a RevocationList, or a store of your
                own; where it fails, requests are answered with 503.
            token_cache_size: how many verified tokens are remembered, at up to 3 KB each; 0 for none.
            schedule: how long keys are trusted and how often they are asked for.
            fetch: gets a document in place of HTTPSFetch.
            clock: wall time, seconds since the epoch.
            timer: monotonic seconds.

        Raises:
            ConfigurationError: a value that can't be right; its `setting` names the argument.
        """
        self._pool = UserPool.create(
            user_pool_id,
            issuer_format=issuer_format,
            replica_regions=replica_regions,
            issuer=() if issuer is None else issuer,
            jwks_uri=jwks_uri,
            allow_insecure_http=allow_insecure_http,
            static_keys=jwks is not None,
        )
        floor = scope_names("required_scopes", required_scopes)
        self._policy = Policy.create(
            client_id=client_id if client_id is ANY_CLIENT else several("client_id", client_id),
            token_use=several("token_use", token_use),
            resource=several("resource", resource),
            resource_binding=resource_binding,
            client_stands_in=bool(floor),
            leeway=leeway,
            max_token_age=max_token_age,
            max_token_lifetime=max_token_lifetime,
        )
        check_settings(
            leeway=leeway, max_token_bytes=max_token_bytes, schedule=schedule, fetch=fetch, clock=clock, timer=timer
        )
        self._max_token_bytes = max_token_bytes
        self._floor = Requires(scopes=floor) if floor else None
        self._implied = closure(implies)
        self._revocations = None if revocations is None else RevocationCheck(revocations)
        self._clock = clock
        self._keys = key_source(self._pool, jwks, jwks_uri, schedule, fetch, timer)
        self._known_headers: dict[bytes, str] = {}
        self._memo: Memo[Verified] = Memo(token_cache_size, max_bytes=max_token_bytes)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **arguments: Any) -> CognitoVerifier:
        """
        Configure from a mapping whose keys are the constructor's arguments, in any case.

        Args:
            settings: for example `{"USER_POOL_ID": ..., "CLIENT_ID": [...]}`.
            arguments: more of the constructor's arguments; they win.

        Raises:
            ConfigurationError: an unknown key, or as the constructor does.
        """
        return cls(**arguments_from_mapping(settings, **arguments))

    @classmethod
    def from_env(cls, *, environ: Mapping[str, str] | None = None, **arguments: Any) -> CognitoVerifier:
        """
        Configure from environment variables: `COGNITO_USER_POOL_ID`, `COGNITO_CLIENT_ID` and so on.

        Several values of one setting are separated by commas.

        Args:
            environ: variables to texts, in place of the environment.
            arguments: more of the constructor's arguments; they win.

        Raises:
            ConfigurationError: as the constructor does, named as the variable.
        """
        with named_as_variables(arguments):
            return cls(**arguments_from_env(os.environ if environ is None else environ, **arguments))

    @classmethod
    def for_emulator(cls, emulator: Emulator, endpoint: str, user_pool_id: str, **arguments: Any) -> CognitoVerifier:
        """
        Configure for an emulator of Cognito: its issuer, and where it publishes its keys.

        Args:
            emulator: which one.
            endpoint: its URL, for example http://localhost:4566.
            user_pool_id: the pool's id.
            arguments: more of the constructor's arguments; they win.

        Raises:
            ConfigurationError: an emulator that nobody knows, an http endpoint that is not on this machine, or as
                the constructor does.
        """
        return cls(user_pool_id, **(emulator_arguments(emulator, endpoint, user_pool_id) | arguments))

    @staticmethod
    def any_of(*verifiers: CognitoVerifier) -> Verifier:
        """
        Return a verifier for the tokens of several user pools, or for several kinds of tokens of one.

        Args:
            verifiers: whose token it is tells its issuer; of several for one issuer the first to accept it wins.
                Refused by all, a token that was good for one but lacks a scope is told that.

        Raises:
            ConfigurationError: no verifier, or two for one issuer that differ in `implies` or `revocations`.
        """
        return AnyOf(verifiers)

    @staticmethod
    def by_issuer(
        resolve: Callable[[str], CognitoVerifier | None],
        *,
        max_verifiers: int = 1000,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> Verifier:
        """
        Return a verifier for many tenants, each with a user pool of its own.

        A tenant is kept once one of its tokens was accepted, and no flood of forged tokens pushes it out.  Of the
        others, 64 may be resolved at once and ten more a second, not counting those whose token is then accepted;
        beyond that, their tokens raise UnavailableError.  `prefetch` does nothing: each tenant's keys are fetched with
        its first token.

        Args:
            resolve: from the text of an issuer to the verifier of the tenant who has it, or None.  Anybody can have
                it called with any text, on the thread or event loop of the request: look it up, fetch nothing.
            max_verifiers: how many verifiers are kept; the one whose last good token is the oldest is forgotten, with
                its keys.
            max_token_bytes: the longest token that any tenant takes; longer ones are refused unread.
            clock: wall time, seconds since the epoch.
            timer: monotonic seconds.

        Raises:
            ConfigurationError: a bound that is no positive whole number, a function that is none; at a request, a
                resolved verifier that is none, or of another issuer.
        """
        return ByIssuer(resolve, max_verifiers=max_verifiers, max_token_bytes=max_token_bytes, clock=clock, timer=timer)

    @property
    def user_pool(self) -> UserPool:
        """The user pool with its accepted issuers."""
        return self._pool

    @property
    def max_token_bytes(self) -> int:
        """The longest token that is looked at."""
        return self._max_token_bytes

    @property
    def implied_scopes(self) -> Mapping[str, frozenset[str]]:
        """Scopes to all that they imply, themselves included."""
        return self._implied

    @property
    def revocations(self) -> Revocations | None:
        """Who is asked at each request whether a token was revoked, or None."""
        return None if self._revocations is None else self._revocations.store

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """The scopes that every token must carry."""
        return () if self._floor is None else self._floor.needed_scopes

    def verify(self, token: str) -> Principal:
        """Verify a token of the user pool; see `Verifier.verify`."""
        digest, seen = self._memo.look(token)
        if seen is not None:
            key = self._keys.held(seen.key.kid) or self._keys.get(seen.principal.issuer, seen.key.kid)
            if key is seen.key or seen.is_under(key):
                principal = self._again(seen)
                if self._revocations is not None:
                    self._revocations.check(principal)
                return principal
        unverified, issuer = self._read(token)
        key = self._keys.held(unverified.kid) or self._keys.get(issuer, unverified.kid)
        principal = self._judge(unverified, key)
        if self._revocations is not None:
            self._revocations.check(principal)
        return self._admit(principal, unverified, key, digest)

    async def averify(self, token: str) -> Principal:
        """Verify a token as `verify` does, without blocking the event loop (asyncio)."""
        digest, seen = self._memo.look(token)
        if seen is not None:
            key = self._keys.held(seen.key.kid) or await self._keys.aget(seen.principal.issuer, seen.key.kid)
            if key is seen.key or seen.is_under(key):
                principal = self._again(seen)
                if self._revocations is not None:
                    await self._revocations.acheck(principal)
                return principal
        unverified, issuer = self._read(token)
        key = self._keys.held(unverified.kid) or await self._keys.aget(issuer, unverified.kid)
        principal = self._judge(unverified, key)
        if self._revocations is not None:
            await self._revocations.acheck(principal)
        return self._admit(principal, unverified, key, digest)

    def granted_scopes(self, principal: Principal) -> frozenset[str]:
        """Return the caller's scopes and those that they imply."""
        if not self._implied:
            return principal.scopes
        return principal.scopes.union(*(self._implied.get(scope, ()) for scope in principal.scopes))

    def prefetch(self) -> None:
        """Have usable keys at hand before the first token; raise UnavailableError where they are out of reach."""
        self._keys.prefetch()

    async def aprefetch(self) -> None:
        """Have usable keys at hand as `prefetch` does, without blocking the event loop."""
        await self._keys.aprefetch()

    def explain(self, token: str, requirement: Requirement | None = None) -> Explanation:
        """
        Tell why a token is accepted or refused, check by check, to a developer who holds it.

        All checks are made that can be made, also behind the first that fails.  May block for a fetch of keys as
        `verify` does; the cache of verified tokens is neither asked nor filled.

        Args:
            token: the compact JWS, without scheme; anything at all.
            requirement: what an operation demands, as for `authorize`.

        Returns:
            What the token holds, among the rest: for your eyes, never for a log or a response.

        Raises:
            ConfigurationError: the requirement is none.  What a predicate of yours raises is raised here, too.
        """
        from .examination import Judge, explain

        judge = Judge(
            pool=self._pool,
            policy=self._policy,
            keys=self._keys,
            max_token_bytes=self._max_token_bytes,
            revocations=self._revocations,
            floor=self._floor,
            granted_scopes=self.granted_scopes,
            clock=self._clock,
        )
        return explain(token, requirement, judge)

    def _read(self, token: str) -> tuple[UnverifiedToken, str]:
        unverified = parse(token, max_bytes=self._max_token_bytes, known_headers=self._known_headers)
        issuer = issuer_of(unverified)
        # Before any use of the network, and the only use of a claim that nobody has vouched for yet.
        if issuer not in self._pool.jwks_uris:
            raise wrong_issuer()
        return unverified, issuer

    def _judge(self, unverified: UnverifiedToken, key: Key) -> Principal:
        key.check_signature(unverified.signature, unverified.signing_input)
        if unverified.header_segment not in self._known_headers:
            self._remember_header(unverified)
        claims = unverified.claims
        self._policy.check(claims, self._clock())
        return principal_of(claims, self._pool.user_pool_id)

    def _admit(self, principal: Principal, unverified: UnverifiedToken, key: Key, digest: bytes | None) -> Principal:
        if self._floor is not None:
            self.authorize(principal, self._floor)
        if digest is not None:
            claims = unverified.claims
            self._memo.put(digest, Verified(principal, claims, key, self._policy.surely_in_time(claims)))
        return principal

    def _again(self, seen: Verified) -> Principal:
        """Judge a token seen before, whose key still is the one: of all that it met, only the time has changed."""
        now = self._clock()
        if not seen.certain_from <= now <= seen.certain_until:
            policy = self._policy
            check_times(seen.claims, now, policy.leeway, policy.max_token_age, policy.max_token_lifetime)
        return seen.principal

    def _remember_header(self, unverified: UnverifiedToken) -> None:
        # Only under a good signature: nobody but the pool can make an entry here.
        if len(self._known_headers) >= _MAX_KNOWN_HEADERS:
            self._known_headers = {}
        self._known_headers[unverified.header_segment] = unverified.kid

    def __repr__(self) -> str:
        return f"<CognitoVerifier {self._pool.user_pool_id} {self._keys!r}>"
