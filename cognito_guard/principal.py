"""
The verified caller: a person or a machine, as its token tells it.

Immutable through and through, so that one handler's change is never another request's identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from .tokens.members import frozen, thawed
from .tokens.policy import TokenUse, audience

_NO_SCOPE = frozenset({""})
_set = object.__setattr__


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """
    Hold who acts on the subject's behalf (RFC 8693 §4.1).

    Attributes:
        subject: the actor's own `sub`, or None where the token names it otherwise.
        claims: all members of `act`, read-only.
        actor: who acted before it, or None.
    """

    subject: str | None = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False, hash=False)
    actor: Actor | None


class Principal:
    """
    Show a verified token's claims under their usual names.

    Identity is the pair of `user_pool_id` and `subject`: a name or an e-mail address can change hands,
    and a pool can change the text of its issuer.
    """

    __slots__ = ("_claims", "_groups", "_scopes", "_user_pool_id", "_view")

    _claims: Mapping[str, Any]
    _user_pool_id: str
    # Made when first asked for, and unset until then: most handlers never look at most of it.  Two
    # threads may both make one; they make the same.
    _scopes: frozenset[str]
    _groups: frozenset[str]
    _view: Mapping[str, Any]

    def __init__(self, claims: Mapping[str, Any], *, user_pool_id: str) -> None:
        """
        Copy claims that a test made, in the shape of a verified token's.

        Args:
            claims: the token's claims, at least `sub`, `iss`, `token_use`, `exp`, `iat` and the client.
            user_pool_id: the pool that issued them.
        """
        _set(self, "_claims", thawed(claims))
        _set(self, "_user_pool_id", user_pool_id)

    @property
    def user_pool_id(self) -> str:
        """The user pool that vouches for the caller."""
        return self._user_pool_id

    @property
    def scopes(self) -> frozenset[str]:
        """The entries of an access token's `scope`; empty for an ID token."""
        try:
            return self._scopes
        except AttributeError:
            scope = self._claims.get("scope", "") if self.token_use == "access" else ""
            _set(self, "_scopes", frozenset(scope.split(" ")) - _NO_SCOPE)
            return self._scopes

    @property
    def groups(self) -> frozenset[str]:
        """The entries of `cognito:groups`; empty where the claim is absent, as it is without any group."""
        try:
            return self._groups
        except AttributeError:
            _set(self, "_groups", frozenset(self._claims.get("cognito:groups", ())))
            return self._groups

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims of the token, read-only to the last leaf: objects as mappings, arrays as tuples."""
        try:
            return self._view
        except AttributeError:
            _set(self, "_view", frozen(self._claims))
            return self._view

    @property
    def subject(self) -> str:
        """The `sub` claim: unique in its user pool; for a machine its client ID."""
        return str(self._claims["sub"])

    @property
    def issuer(self) -> str:
        """The `iss` claim."""
        return str(self._claims["iss"])

    @property
    def token_use(self) -> TokenUse:
        """Whether an access token or an ID token was presented."""
        token_use: TokenUse = self._claims["token_use"]
        return token_use

    @property
    def client_id(self) -> str:
        """The app client that the token was issued to."""
        return str(self._claims["client_id"]) if self.token_use == "access" else self.audience[0]

    @property
    def audience(self) -> tuple[str, ...]:
        """The `aud` claim; empty for an access token that is not bound to a resource."""
        return audience(self._claims) if "aud" in self._claims else ()

    @property
    def username(self) -> str | None:
        """The user's name in the pool (`username` or `cognito:username`); None for a machine."""
        return self._optional("username" if self.token_use == "access" else "cognito:username")

    @property
    def is_machine(self) -> bool:
        """Whether an app client speaks for itself (client credentials) and no person stands behind it."""
        return self.token_use == "access" and self.username is None and self.subject == self.client_id

    @property
    def actor(self) -> Actor | None:
        """Who acts on the subject's behalf, where the token is delegated."""
        act = self._claims.get("act")
        return None if act is None else _actor(act)

    @property
    def jwt_id(self) -> str | None:
        """The `jti` claim: this token's own id."""
        return self._optional("jti")

    @property
    def origin_jti(self) -> str | None:
        """The `origin_jti` claim: the sign-in that all refreshed tokens go back to."""
        return self._optional("origin_jti")

    @property
    def issued_at(self) -> int:
        """The `iat` claim, seconds since the epoch."""
        return int(self._claims["iat"])

    @property
    def expires_at(self) -> int:
        """The `exp` claim, seconds since the epoch."""
        return int(self._claims["exp"])

    @property
    def auth_time(self) -> int | None:
        """The `auth_time` claim: when the user last authenticated, seconds since the epoch."""
        auth_time: int | None = self._claims.get("auth_time")
        return auth_time

    @property
    def acr(self) -> str | None:
        """The `acr` claim: how strongly the user authenticated."""
        return self._optional("acr")

    @property
    def amr(self) -> tuple[str, ...]:
        """The `amr` claim: by which means the user authenticated."""
        return tuple(self._claims.get("amr", ()))

    @property
    def is_authenticated(self) -> bool:
        """True, as frameworks ask of a user object."""
        return True

    @property
    def display_name(self) -> str:
        """The username, or a machine's client ID (Starlette's name for it)."""
        return self.username or self.subject

    @property
    def identity(self) -> str:
        """The subject (Starlette's name for it)."""
        return self.subject

    def _optional(self, name: str) -> str | None:
        value: str | None = self._claims.get(name)
        return value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Principal is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Principal is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Principal):
            return NotImplemented
        return self.user_pool_id == other.user_pool_id and self._claims == other._claims

    def __hash__(self) -> int:
        return hash((self.user_pool_id, self.subject, self.jwt_id))

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (dict(self._claims), self.user_pool_id)

    def __repr__(self) -> str:
        # No claim value: a username is often an e-mail address, and a repr ends up in logs.
        kind = "machine" if self.is_machine else "person"
        size = f"{len(self.scopes)} scopes, {len(self.groups)} groups"
        return f"<Principal {kind} of {self.user_pool_id}, {self.token_use} token, {size}>"


# One principal is made for each token: past the look-up of the attribute that cannot be set.
_new = object.__new__
_set_claims = Principal.__dict__["_claims"].__set__
_set_user_pool_id = Principal.__dict__["_user_pool_id"].__set__


def principal_of(claims: Mapping[str, Any], user_pool_id: str) -> Principal:
    """Return the principal of claims that nobody else holds; they are not copied."""
    principal = _new(Principal)
    _set_claims(principal, claims)
    _set_user_pool_id(principal, user_pool_id)
    return principal


def _restore(claims: Mapping[str, Any], user_pool_id: str) -> Principal:
    return Principal(claims, user_pool_id=user_pool_id)


def _actor(act: Mapping[str, Any]) -> Actor:
    subject, inner = act.get("sub"), act.get("act")
    return Actor(
        subject=subject if isinstance(subject, str) else None,
        claims=frozen(act),
        actor=_actor(cast("Mapping[str, Any]", inner)) if isinstance(inner, Mapping) else None,
    )
