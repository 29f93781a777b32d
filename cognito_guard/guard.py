"""
One request's guard: who calls, who judges it, and the answer where it may not.

What every adapter shares, whatever its framework.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from .challenge import DEFAULT_REALM, Challenge, challenge_for
from .errors import MissingTokenError, RefusalError
from .principal import Principal
from .requires import Requirement
from .verifier import CognitoVerifier

_log = logging.getLogger("cognito_guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """
    Hold who calls and who judges it, for one request.

    Attributes:
        verifier: judges requirements.
        principal: the verified caller, or None for an anonymous one.
        realm: named in challenges.
    """

    verifier: CognitoVerifier
    principal: Principal | None
    realm: str = DEFAULT_REALM

    def challenge(self, requirement: Requirement) -> Challenge | None:
        """Return the answer to a caller who does not meet the requirement, or None for one who does."""
        try:
            if self.principal is None:
                raise MissingTokenError
            self.verifier.authorize(self.principal, requirement)
        except RefusalError as error:
            return refuse(error, self.verifier, realm=self.realm, requirement=requirement)
        return None


class Anonymous:
    """Stand in for the user where a route allows a caller without credentials."""

    is_authenticated = False
    display_name = ""
    identity = ""


def is_preflight(header_names: Iterable[str]) -> bool:
    """Tell a CORS preflight, which browsers send without credentials, from any other OPTIONS request."""
    return {name.lower() for name in header_names}.issuperset(("origin", "access-control-request-method"))


def refuse(
    error: RefusalError, verifier: CognitoVerifier, *, realm: str, requirement: Requirement | None = None
) -> Challenge:
    """Log a refusal, by its reason alone, and return the answer to it, which names every scope that is needed."""
    # Info at most: anybody can make any number of them.
    _log.info("request refused", extra={"reason": str(error.reason)})
    needed = () if requirement is None else requirement.needed_scopes
    return challenge_for(error, realm=realm, scopes=(*verifier.required_scopes, *needed))
