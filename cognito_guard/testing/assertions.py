"""What a test expects of an answer, whichever framework's response it has in hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PARAMETER = re.compile(r'([a-z_]+)="([^"\\]*)"')
_CHALLENGE = re.compile(rf"Bearer {_PARAMETER.pattern}(?:, {_PARAMETER.pattern})*")
_HEADER = "WWW-Authenticate"


def assert_challenge(response: Any, status: int, *, error: str | None = None, **parameters: str) -> Mapping[str, str]:
    """
    Assert that a response refuses a request as it should, with a Bearer challenge of RFC 6750 or none at all.

    Args:
        response: of any framework's test client, or of httpx or requests: it has `status_code` and `headers`.
        status: the HTTP status.
        error: the challenge's `error`; None where it must not have one, as for a request without a token, or where
            there is no challenge, as for a caller who lacks a group.
        parameters: further parameters of the challenge with their exact values, such as `scope="orders/write"`.

    Returns:
        All parameters of the challenge.

    Raises:
        AssertionError: it does not; the message tells status and challenge.
    """
    challenge = response.headers.get(_HEADER, "")
    got = f"{response.status_code} with {challenge!r}" if challenge else f"{response.status_code} without a challenge"
    if response.status_code != status:
        raise AssertionError(f"expected status {status}, got {got}")
    if challenge and not _CHALLENGE.fullmatch(challenge):
        raise AssertionError(f"expected one Bearer challenge with quoted parameters, got {got}")
    found = dict(_PARAMETER.findall(challenge))
    for name, value in {"error": error, **parameters}.items():
        if found.get(name) != value:
            expected = f"no {name}" if value is None else f'{name}="{value}"'
            raise AssertionError(f"expected {expected}, got {got}")
    return found
