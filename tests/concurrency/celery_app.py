"""
A Celery application whose task verifies tokens.

    celery -A concurrency.celery_app worker --pool prefork
    python -m concurrency.celery_app TOKEN ...

`COGNITO_...` variables configure its verifier, which has its keys before the worker forks; `CELERY_URL` is the Redis
through which messages and results go.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from celery import Celery  # pyright: ignore[reportMissingTypeStubs]

from cognito_guard import CognitoVerifier, RefreshSchedule, RefusalError

from . import PATIENCE

app: Any = Celery("who", broker=os.environ["CELERY_URL"], backend=os.environ["CELERY_URL"])
# However busy the machine is.
verifier = CognitoVerifier.from_env(schedule=RefreshSchedule(deadline=PATIENCE))
verifier.prefetch()


def who(token: str) -> tuple[int, str | None]:
    """Return the process, and whose token it is, or why it is refused."""
    try:
        return os.getpid(), verifier.verify(token).username
    except RefusalError as error:
        return os.getpid(), error.reason


task: Any = app.task(name="who")(who)


def main(*tokens: str) -> None:
    """Have the worker judge the tokens, and write what it returns."""
    results = [task.delay(token) for token in tokens]
    json.dump([result.get(timeout=PATIENCE) for result in results], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
