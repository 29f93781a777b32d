"""
What a command is given: a token by a pipe or by the environment, and the settings of a verifier.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

_VARIABLE = "COGNITO_TOKEN"
_MAX_BYTES = 1024 * 1024
_SCHEME = "bearer"


def token_given() -> str:
    """
    Return the token of the variable COGNITO_TOKEN, else of standard input, without white space and scheme around it.

    It is never an argument: those stand in the list of processes and in the history of shells.
    """
    text = os.environ.get(_VARIABLE) or _piped()
    scheme, _, token = text.strip().partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else text.strip()


def _piped() -> str:
    """Return what standard input holds; nothing where it is closed, or open for writing alone as under `nohup`."""
    if sys.stdin is None:
        return ""
    try:
        return sys.stdin.buffer.read(_MAX_BYTES).decode("latin-1")
    except OSError:
        return ""


def no_token() -> int:
    """Say where a token is looked for, and return the exit status of a wrong call."""
    print(f"no token: pipe it to standard input, or set {_VARIABLE}", file=sys.stderr)
    return 2


def settings_given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings among a command's options; those left out come from the environment."""
    options = {"user_pool_id": arguments.user_pool_id, "client_id": arguments.client_id}
    return {name: value for name, value in options.items() if value is not None}
