"""
What runs under callgrind: `python -m benchmarks.instructions_worker FILE`.

Each case runs twice, the second time twice as often; `os.getppid`, which nothing else calls, marks where one
ends and the next begins, so that one process is enough for all of them.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cognito_guard import CognitoVerifier, InvalidTokenError
from cognito_guard.testing import FakeClock

from .harness import Batch
from .subjects import bare_check, each

WARM_UP = 50
COUNT = 100


def main(file: Path) -> None:
    """Run all cases of a file."""
    given = json.loads(file.read_text())
    batches = [_batch(given, case) for case in given["cases"].values()]
    # When it collects depends on what ran before.
    gc.disable()
    for batch in batches:
        batch(WARM_UP)
        os.getppid()
        batch(COUNT)
        os.getppid()
        batch(2 * COUNT)
        os.getppid()


def _batch(given: dict[str, Any], case: dict[str, Any]) -> Batch:
    tokens: list[str] = case["tokens"]
    if case["kind"] == "raw":
        key = load_pem_public_key(given["key"].encode())
        assert isinstance(key, RSAPublicKey)
        return bare_check(key, tokens)
    clock = FakeClock(given["now"])
    size = 0 if case["kind"] == "new" else 4096
    verifier = CognitoVerifier(**given["verifier"], token_use=case["token_use"], token_cache_size=size, clock=clock)
    for token in tokens:
        _outcome(verifier, token)
    clock.tick(case["later"])
    assert {_outcome(verifier, token) for token in tokens} == {case["outcome"]}
    accepted = case["outcome"] == "accepted"
    return each(verifier.verify if accepted else lambda token: _outcome(verifier, token), tokens)


def _outcome(verifier: CognitoVerifier, token: str) -> str:
    try:
        verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason
    return "accepted"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
