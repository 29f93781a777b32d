"""
Which tokens this resource server accepts, beyond being genuine and in time.

A pool's every client signs with the pool's keys, an ID token with keys of the same set, and a token
bound to another API too: signature and issuer say nothing about whom a token was meant for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias, cast

from ..errors import ConfigurationError, InvalidClaimError, Reason, malformed_claim, missing_claim
from ..settings import check_leeway, check_seconds
from .claims import Refuse, check_times, check_types, refuse, surely_in_time
from .jws import is_array

TokenUse = Literal["access", "id"]
_TOKEN_USES: tuple[TokenUse, ...] = ("access", "id")
ResourceBinding = Literal["optional", "required"]


class AnyClient(Enum):
    """Hold the one value that stands for "tokens of every app client of the pool"."""

    ANY_CLIENT = "ANY_CLIENT"

    def __repr__(self) -> str:
        return self.name


ANY_CLIENT = AnyClient.ANY_CLIENT
"""Accept every app client of the pool: needs a bound resource or a required scope in place of the client."""

_MAX_CLIENT_ID_CHARS = 128
ClientIds: TypeAlias = frozenset[str] | Literal[AnyClient.ANY_CLIENT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    Hold what a token must be to be accepted.

    Attributes:
        client_ids: the app clients whose tokens are accepted, or ANY_CLIENT.
        token_uses: "access", "id" or both.
        resources: this API's identifiers, as clients name it in `resource=` (RFC 8707).
        binding_required: whether an access token must be bound to one of the resources.
        unbound_clients: the clients to which that does not apply (machine tokens can't be bound).
        leeway: seconds by which the two clocks may differ, either way.
        max_token_age: seconds since `iat`, or None for no bound.
        max_token_lifetime: seconds between `iat` and `exp`, or None for no bound.
    """

    client_ids: ClientIds
    token_uses: frozenset[TokenUse]
    resources: frozenset[str]
    binding_required: bool
    unbound_clients: frozenset[str]
    leeway: float
    max_token_age: float | None
    max_token_lifetime: float | None

    @classmethod
    def create(
        cls,
        *,
        client_id: Sequence[str] | Literal[AnyClient.ANY_CLIENT],
        token_use: Sequence[str] = ("access",),
        resource: Sequence[str] = (),
        resource_binding: ResourceBinding | Mapping[str, ResourceBinding] = "optional",
        client_stands_in: bool = False,
        leeway: float = 0.0,
        max_token_age: float | None = None,
        max_token_lifetime: float | None = None,
    ) -> Policy:
        """
        Judge the settings together.

        Args:
            client_id: see CognitoVerifier, as the other settings.
            token_use: one or both uses.
            resource: identifiers of this API.
            resource_binding: for all clients, or per client.
            client_stands_in: whether something else than a bound resource may stand in for the client check.
            leeway: seconds.
            max_token_age: seconds or None.
            max_token_lifetime: seconds or None.

        Raises:
            ConfigurationError: a setting that can't be right, or two that exclude each other.
        """
        uses: frozenset[TokenUse] = frozenset(use for use in _TOKEN_USES if use in token_use)
        if len(uses) != len(set(token_use)) or not uses:
            raise ConfigurationError("token_use", "expected 'access' or 'id', or a list of both")
        if client_id is not ANY_CLIENT:
            _check_client_ids(client_id)
        elif "id" in uses or not (resource or client_stands_in):
            raise ConfigurationError(
                "client_id", "ANY_CLIENT is for access tokens, and needs a resource or required_scopes in its place"
            )
        binding_required, unbound = _binding(resource_binding, client_id, resource)
        check_leeway(leeway)
        for name, value in (("max_token_age", max_token_age), ("max_token_lifetime", max_token_lifetime)):
            if value is not None:
                check_seconds(name, value)
        return cls(
            client_ids=client_id if client_id is ANY_CLIENT else frozenset(client_id),
            token_uses=uses,
            resources=frozenset(resource),
            # In place of the client check, the resource is only as good as its binding.
            binding_required=binding_required or (client_id is ANY_CLIENT and not client_stands_in),
            unbound_clients=unbound,
            leeway=leeway,
            max_token_age=max_token_age,
            max_token_lifetime=max_token_lifetime,
        )

    def check(self, claims: Mapping[str, Any], now: float, refuse: Refuse = refuse) -> None:
        """
        Check the claims of a token whose signature is good.

        Args:
            claims: the claims.
            now: wall time in seconds since the epoch.
            refuse: takes each refusal but those of types; the rest is looked at where it returns.

        Raises:
            InvalidClaimError: a claim is missing, malformed or not what is accepted here.
        """
        check_types(claims)
        token_use = claims["token_use"]
        if token_use not in self.token_uses:
            refuse(
                InvalidClaimError(
                    "token_use", "mismatch", Reason.WRONG_TOKEN_USE, "a token of this use is not accepted here"
                )
            )
        check_times(claims, now, self.leeway, self.max_token_age, self.max_token_lifetime, refuse)
        if token_use == "access":
            self._check_access_token(claims, refuse)
        else:
            self._check_id_token(claims, refuse)
        if "cnf" in claims:
            # Whoever stole such a token can't use it where possession is checked; nor may they here
            # (RFC 9449 §7.1 forbids to take it as a plain bearer token).
            refuse(InvalidClaimError("cnf", "mismatch", Reason.SENDER_CONSTRAINED, "the token is sender-constrained"))

    def surely_in_time(self, claims: Mapping[str, Any]) -> tuple[float, float]:
        """Return two wall times between which the times of a token that was accepted pass for sure."""
        return surely_in_time(claims, self.leeway, self.max_token_age)

    def _check_access_token(self, claims: Mapping[str, Any], refuse: Refuse) -> None:
        client_id = claims.get("client_id")
        if client_id is None:
            refuse(missing_claim("client_id"))
        elif self.client_ids is not ANY_CLIENT and client_id not in self.client_ids:
            refuse(_wrong_client("client_id"))
        bound = self.binding_required and client_id not in self.unbound_clients
        if "aud" not in claims:
            if bound:
                refuse(
                    InvalidClaimError("aud", "missing", Reason.WRONG_AUDIENCE, "the token is not bound to a resource")
                )
            return
        accepted = self.resources if bound else self.resources | {client_id}
        if accepted.isdisjoint(audience(claims)):
            # Minted for another API: whoever serves that one could replay it here.
            refuse(
                InvalidClaimError("aud", "mismatch", Reason.WRONG_AUDIENCE, "the token is bound to another resource")
            )

    def _check_id_token(self, claims: Mapping[str, Any], refuse: Refuse) -> None:
        if "aud" not in claims:
            refuse(missing_claim("aud"))
        # Every audience must be one of ours (OpenID Connect Core §3.1.3.7); Cognito names one.
        elif self.client_ids is not ANY_CLIENT and not self.client_ids.issuperset(audience(claims)):
            refuse(_wrong_client("aud"))


def _wrong_client(claim: str) -> InvalidClaimError:
    return InvalidClaimError(
        claim, "mismatch", Reason.WRONG_CLIENT, "the token was issued to a client that is not configured"
    )


def audience(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return `aud` as a tuple; Cognito documents one string, RFC 7519 §4.1.3 allows a list.

    Raises:
        InvalidClaimError: it is neither, or empty.
    """
    value = claims["aud"]
    names: tuple[Any, ...] = tuple(value) if is_array(value) else (value,)
    if not names or not all(type(name) is str and name for name in names):
        raise malformed_claim("aud")
    return names


def _check_client_ids(client_ids: Sequence[str]) -> None:
    if not client_ids:
        raise ConfigurationError("client_id", "expected at least one app client ID, or ANY_CLIENT")
    for client_id in client_ids:
        if "://" in client_id or client_id.startswith("arn:"):
            raise ConfigurationError("client_id", f"expected an app client ID, got a URL or an ARN: {client_id!r}")
        if client_id in ("ANY_CLIENT", "*"):
            raise ConfigurationError("client_id", "expected an app client ID; ANY_CLIENT is a constant, and no text")
        if "," in client_id:
            raise ConfigurationError(
                "client_id", "expected an app client ID, or several as a list, got one string with a comma"
            )
        if not client_id.isascii() or not client_id.isprintable() or " " in client_id:
            raise ConfigurationError("client_id", "expected an app client ID, got text with white space or non-ASCII")
        if len(client_id) > _MAX_CLIENT_ID_CHARS:
            raise ConfigurationError("client_id", f"expected at most {_MAX_CLIENT_ID_CHARS} characters")


def _binding(
    binding: ResourceBinding | Mapping[str, ResourceBinding], client_id: object, resources: Sequence[str]
) -> tuple[bool, frozenset[str]]:
    """Return whether binding is required, and of which clients it is not."""
    per_client: Mapping[str, ResourceBinding] = binding if isinstance(binding, Mapping) else {}
    values = list(per_client.values()) if isinstance(binding, Mapping) else [binding]
    if not all(value in ("optional", "required") for value in values):
        raise ConfigurationError("resource_binding", "expected 'optional' or 'required', or one of them per client ID")
    if client_id is not ANY_CLIENT and not set(per_client) <= set(cast("Sequence[str]", client_id)):
        raise ConfigurationError("resource_binding", "names a client that client_id does not")
    required = isinstance(binding, Mapping) or binding == "required"
    if required and not resources:
        raise ConfigurationError("resource_binding", "requires binding, and there is no resource to be bound to")
    return required, frozenset(client for client, value in per_client.items() if value == "optional")
