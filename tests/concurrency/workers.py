"""
Processes that each make a verifier of their own, and verify tokens with it.

    python -m concurrency.workers spawn TOKEN ...

`COGNITO_...` variables configure the verifiers.  Prints a JSON list of process ID and outcome, one per token.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from cognito_guard import CognitoVerifier, RefusalError

verifiers: list[CognitoVerifier] = []
"""The one of this process."""


def make() -> None:
    """Make this process's verifier."""
    verifiers.append(CognitoVerifier.from_env())


def verify(token: str) -> tuple[int | None, str | None]:
    """Return the process and who it is; a refusal goes to the process that asked."""
    return multiprocessing.current_process().pid, verifiers[0].verify(token).username


def main(method: str, *tokens: str) -> None:
    """Verify the tokens in two processes."""
    context = multiprocessing.get_context(method)
    outcomes: list[tuple[int | None, str | None]] = []
    with ProcessPoolExecutor(2, mp_context=context, initializer=make) as processes:
        for future in [processes.submit(verify, token) for token in tokens]:
            try:
                outcomes.append(future.result())
            except RefusalError as error:
                outcomes.append((None, error.reason))
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
