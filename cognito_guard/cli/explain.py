"""
Verify a token, and tell why it is accepted or refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..errors import ConfigurationError
from ..explain import Explanation
from ..requires import Requires
from ..verifier import CognitoVerifier
from .given import no_token, token_given


def run_explain(
    settings: Mapping[str, Any], *, scopes: Sequence[str] = (), groups: Sequence[str] = (), as_json: bool
) -> int:
    """
    Verify the token that is given, and print every check.

    Args:
        settings: arguments of the verifier that win over the environment's.
        scopes: what the operation needs.
        groups: the groups whose members alone may.
        as_json: print one JSON object.

    Returns:
        0 where it is accepted, 1 where not, 2 where there is none or a setting can't be right.
    """
    try:
        verifier = CognitoVerifier.from_env(**settings)
        requirement = Requires(scopes=scopes, groups=groups)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    token = token_given()
    if not token:
        return no_token()
    explanation = verifier.explain(token, requirement)
    print(json.dumps(_document(explanation), indent=2) if as_json else explanation)
    return 0 if explanation.accepted else 1


def _document(explanation: Explanation) -> dict[str, Any]:
    return {
        "accepted": explanation.accepted,
        "reason": explanation.reason,
        "verified": explanation.verified,
        "checks": [asdict(check) for check in explanation.checks],
    }
