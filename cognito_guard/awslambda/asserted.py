"""
What somebody in front of the function says of the caller: true if nobody else can invoke the function.

No signature is checked here and nothing is compared with the clock.  Whoever may invoke the function directly may
assert what they like; to trust no more than the user pool, verify the token itself with `CognitoGuard`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from ..errors import malformed_claim, missing_claim
from .context import claims_in
from .shapes import Event, member
from .texts import Asserted, group_names, seconds, truth


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayCaller:
    """
    Show claims that were verified before the function was invoked; no Principal, which is one that we verified.

    What is malformed raises InvalidClaimError when it is asked for: it refuses a request, and nothing else.

    Attributes:
        asserted_by: whose word it is.
        claims: as they stand in the event, read-only.
        plain_group_names: whether no group's name has white space, a comma or a bracket.
    """

    asserted_by: Asserted
    claims: Mapping[str, Any] = field(repr=False, hash=False)
    plain_group_names: bool

    @property
    def subject(self) -> str:
        """The `sub` claim."""
        return self._required("sub")

    @property
    def token_use(self) -> str:
        """Whether an access token or an ID token was presented."""
        return self._required("token_use")

    @property
    def client_id(self) -> str:
        """The app client that the token was issued to."""
        return self._required("aud" if self._is_from_id_token else "client_id")

    @property
    def username(self) -> str | None:
        """The user's name in the pool; None for a machine."""
        return self.text("cognito:username" if self._is_from_id_token else "username")

    @property
    def scopes(self) -> frozenset[str]:
        """The entries of an access token's `scope`; empty for an ID token."""
        scope = self.text("scope") if self.token_use == "access" else None
        return frozenset((scope or "").split(" ")) - {""}

    @property
    def groups(self) -> frozenset[str]:
        """
        The entries of `cognito:groups`.

        A REST API writes two groups and one that has a comma in its name alike, an HTTP API two groups and one that
        has a blank in it: there several groups raise InvalidClaimError unless `gateway_caller` was told that no group
        has such a name.
        """
        if "cognito:groups" not in self.claims:
            return frozenset()
        value = self.claims["cognito:groups"]
        return group_names("cognito:groups", value, self.asserted_by, plain=self.plain_group_names)

    @property
    def expires_at(self) -> int:
        """The `exp` claim, seconds since the epoch; an answer of an authorizer may outlive it."""
        if "exp" not in self.claims:
            raise missing_claim("exp")
        return seconds("exp", self.claims["exp"])

    def text(self, claim: str) -> str | None:
        """Return a claim that is a text, or None where it is absent."""
        value = self.claims.get(claim)
        if value is not None and not isinstance(value, str):
            raise malformed_claim(claim)
        return value

    def flag(self, claim: str) -> bool | None:
        """Return a claim that is true or false, also where that is written as text, or None where it is absent."""
        value = self.claims.get(claim)
        return None if value is None else truth(claim, value)

    @property
    def _is_from_id_token(self) -> bool:
        return self.asserted_by is not Asserted.AUTHORIZER and self.token_use == "id"

    def _required(self, claim: str) -> str:
        value = self.text(claim)
        if value is None:
            raise missing_claim(claim)
        return value


def gateway_caller(event: Event, *, plain_group_names: bool = False) -> GatewayCaller | None:
    """
    Return the caller that API Gateway, AppSync or a Lambda authorizer asserts, or None where nobody is asserted.

    Args:
        event: as Lambda hands it over.
        plain_group_names: promise that no group in a token has white space, a comma or a bracket in its name: none of
            the user pool's own, and none that a trigger puts there.

    Raises:
        ConfigurationError: an event of none of them.
    """
    authorizer = member(event, "requestContext", "authorizer")
    claims_by = {
        Asserted.REST: _object_in(authorizer, "claims"),
        Asserted.HTTP: _object_in(_object_in(authorizer, "jwt"), "claims"),
        Asserted.APPSYNC: member(event, "identity", "claims"),
        Asserted.AUTHORIZER: claims_in(_object_in(authorizer, "lambda") or authorizer),
    }
    for asserted_by, claims in claims_by.items():
        if claims:
            kept = MappingProxyType(dict(claims))
            return GatewayCaller(asserted_by=asserted_by, claims=kept, plain_group_names=plain_group_names)
    return None


def _object_in(authorizer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    # Under these names another Lambda authorizer may tell something of its own, which is a text then.
    found = authorizer.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}
