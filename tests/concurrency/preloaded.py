"""
A guarded application that a prefork server loads before it forks.

`COGNITO_...` variables configure it; with `PREFETCH` it has its keys before the fork too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from cognito_guard import CognitoVerifier, RefreshSchedule
from cognito_guard.wsgi import PRINCIPAL_KEY, CognitoMiddleware

from . import PATIENCE


def who(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Say which process served whom."""
    body = f"{os.getpid()} {environ[PRINCIPAL_KEY].username}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


# However busy the machine is.
verifier = CognitoVerifier.from_env(schedule=RefreshSchedule(deadline=PATIENCE))
if "PREFETCH" in os.environ:
    verifier.prefetch()
app = CognitoMiddleware(who, verifier)
