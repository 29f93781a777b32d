"""
One request's guard: who calls, who judges it, and the answer where it may not.

What every adapter shares, whatever its framework.
"""

from __future__ import annotations

import logging
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
            return refuse(error, realm=self.realm, requirement=requirement)
        return None


class Anonymous:
    """Stand in for the user where a route allows a caller without credentials."""

    is_authenticated = False
    display_name = ""


def refuse(error: RefusalError, *, realm: str, requirement: Requirement | None = None) -> Challenge:
    """Log a refusal, by its reason alone, and return the answer to it."""
    # Info at most: anybody can make any number of them.
    _log.info("request refused", extra={"reason": str(error.reason)})
    return challenge_for(error, realm=realm, scopes=requirement.needed_scopes if requirement else ())
