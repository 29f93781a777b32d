"""What a test expects of an answer, whichever framework's response it has in hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The characters that RFC 6750 §3 allows in `scope`, `error` and `error_description`; none needs an escape.
_PARAMETER = re.compile(r'([a-z_]+)="([ !#-\[\]-~]*)"')
_CHALLENGE = re.compile(rf"Bearer {_PARAMETER.pattern}(?:, {_PARAMETER.pattern})*")
_HEADER = "WWW-Authenticate"
_REFUSALS = (400, 401, 403, 503)
_CHALLENGED = (400, 401)
_UNCHALLENGED = (503,)


def assert_challenge(response: Any, status: int, *, error: str | None = None, **parameters: str) -> Mapping[str, str]:
    """
    Assert that a response refuses a request as it should.

    A 400 or 401 has one Bearer challenge (RFC 6750 §3, RFC 9110 §15.5.2), a 403 may have one, a 503 has none.

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
        ValueError: a status that is none of 400, 401, 403 and 503: no refusal has it.
    """
    if status not in _REFUSALS:
        raise ValueError(f"a refusal has the status 400, 401, 403 or 503, not {status}")
    headers = _challenges(response.headers)
    challenge = ", ".join(headers)
    got = f"{response.status_code} with {challenge!r}" if headers else f"{response.status_code} without a challenge"
    if response.status_code != status:
        raise AssertionError(f"expected status {status}, got {got}")
    if status in _CHALLENGED and not headers:
        raise AssertionError(f"expected a challenge, got {got}")
    if status in _UNCHALLENGED and headers:
        raise AssertionError(f"expected no challenge, got {got}")
    if headers and (len(headers) > 1 or not _CHALLENGE.fullmatch(challenge)):
        raise AssertionError(f"expected one Bearer challenge with quoted parameters, got {got}")
    pairs = _PARAMETER.findall(challenge)
    found = dict(pairs)
    if len(found) < len(pairs):  # RFC 9110 §11.2
        raise AssertionError(f"expected each parameter once, got {got}")
    for name, value in {"error": error, **parameters}.items():
        if found.get(name) != value:
            expected = f"no {name}" if value is None else f'{name}="{value}"'
            raise AssertionError(f"expected {expected}, got {got}")
    return found


def _challenges(headers: Any) -> list[str]:
    """Return the header's values; `get` tells of several the first alone, or all as one."""
    for name in ("getlist", "get_list"):  # of Werkzeug and Starlette, and of httpx
        if hasattr(headers, name):
            return list(getattr(headers, name)(_HEADER))
    return [headers[_HEADER]] if _HEADER in headers else []
