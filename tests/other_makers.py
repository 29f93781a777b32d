"""What verifiers of other makers' tokens than a user pool's refuse alike: load balancers' and identity pools'."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import pytest
from conftest import Call

from cognito_guard import (
    ExpiredTokenError,
    InvalidTokenError,
    MalformedTokenError,
    Reason,
    UnsupportedAlgorithmError,
)
from cognito_guard.testing import ABSENT

LEEWAY = 10

Maker = TypeVar("Maker")
Mint: TypeAlias = Callable[..., str]
"""Makes a token: with other parameters in its `header`, another `expires_in`, further claims."""

_MALFORMED = (MalformedTokenError, Reason.MALFORMED_TOKEN)
_UNSUPPORTED_HEADER = (MalformedTokenError, Reason.UNSUPPORTED_HEADER)
_UNSUPPORTED_ALGORITHM = (UnsupportedAlgorithmError, Reason.UNSUPPORTED_ALGORITHM)


def _with(**parameters: object) -> Callable[[Mint], str]:
    return lambda mint: mint(header=parameters)


_REFUSED: Mapping[str, tuple[Callable[[Mint], str], tuple[type[InvalidTokenError], Reason]]] = {
    "a header for RS256": (_with(alg="RS256"), _UNSUPPORTED_ALGORITHM),
    "a header for HS256": (_with(alg="HS256"), _UNSUPPORTED_ALGORITHM),
    "a header for HS512": (_with(alg="HS512"), _UNSUPPORTED_ALGORITHM),
    "a header for none": (_with(alg="none"), _UNSUPPORTED_ALGORITHM),
    "no algorithm": (_with(alg=ABSENT), _UNSUPPORTED_ALGORITHM),
    "a list of algorithms": (_with(alg=["ES256", "RS512"]), _UNSUPPORTED_ALGORITHM),
    "a critical extension": (_with(crit=["exp"]), _UNSUPPORTED_HEADER),
    "an unencoded payload": (_with(b64=False), _UNSUPPORTED_HEADER),
    "a foreign type": (_with(typ="at+jwt"), _UNSUPPORTED_HEADER),
    "no key ID": (_with(kid=ABSENT), _MALFORMED),
    "a key ID that is a number": (_with(kid=1), _MALFORMED),
    "expired": (lambda mint: mint(expires_in=-LEEWAY), (ExpiredTokenError, Reason.EXPIRED)),
    "five segments": (lambda mint: mint() + ".x.y", (MalformedTokenError, Reason.ENCRYPTED_TOKEN)),
    "too long": (lambda mint: mint(filler="x" * 20_000), (MalformedTokenError, Reason.OVERSIZED_TOKEN)),
    "nothing": (lambda _: "", _MALFORMED),
}


def refused_alike(
    mint_of: Callable[[Maker], Mint],
) -> dict[str, tuple[Callable[[Maker], str], type[InvalidTokenError], Reason]]:
    """Return how this maker makes what is refused, with class and reason."""

    def by_maker(make: Callable[[Mint], str]) -> Callable[[Maker], str]:
        return lambda maker: make(mint_of(maker))

    return {name: (by_maker(make), *refused) for name, (make, refused) in _REFUSED.items()}


IMPOSSIBLE_ALIKE = [
    pytest.param("leeway", {"leeway": 301}, id="a leeway that turns expiry off"),
    pytest.param("leeway", {"leeway": math.nan}, id="a leeway that is no number"),
    pytest.param("max_token_bytes", {"max_token_bytes": 0}, id="no room"),
    pytest.param("max_token_bytes", {"max_token_bytes": True}, id="a flag for a number"),
    pytest.param("schedule", {"schedule": None}, id="no schedule"),
    pytest.param("fetch", {"fetch": "https://a.example"}, id="a fetch that is none"),
    pytest.param("clock", {"clock": 1.0}, id="a clock that is none"),
    pytest.param("timer", {"timer": None}, id="a timer that is none"),
]
"""(setting, arguments) that no verifier takes."""


def refusal(call: Call, verifier: object, *args: Any, method: str = "verify") -> InvalidTokenError:
    """Have something refused, and return why."""
    with pytest.raises(InvalidTokenError) as refused:
        call(verifier, method, *args)
    return refused.value


def assert_tells_nothing(error: InvalidTokenError, token: str, *known: str) -> None:
    """Check that no segment of a token, nor any of what else is known, stands in an error."""
    told = "".join(traceback.format_exception(error)) + repr(vars(error))
    assert [text for text in (*filter(lambda part: len(part) > 8, token.split(".")), *known) if text in told] == []
