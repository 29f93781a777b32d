"""A real Celery worker: it has its keys, forks, and each of its processes answers by itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest
from redis_server import RedisServer

from cognito_guard.testing import FakeUserPool

from . import PATIENCE, environment
from .forks import needs_fork

pytestmark = pytest.mark.system


@contextmanager
def worker(variables: Mapping[str, str]) -> Generator[None]:
    """Run a worker of two processes."""
    options = ["--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [sys.executable, "-m", "celery", "-A", "concurrency.celery_app", "worker", "--pool", "prefork", *options]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


@needs_fork
def test_each_process_of_a_worker_answers_by_itself(redis_server: RedisServer) -> None:
    """With the keys from before the fork; and each sees a rotation by itself."""
    pool = FakeUserPool()
    with pool.serve() as server:
        variables = environment(pool, server.jwks_uri) | {"CELERY_URL": f"redis+socket://{redis_server.socket}"}

        def judged(*tokens: str) -> list[tuple[int, str]]:
            command = [sys.executable, "-m", "concurrency.celery_app", *tokens]
            output = subprocess.check_output(command, env=variables, timeout=3 * PATIENCE)
            return [(process, said) for process, said in json.loads(output)]

        with worker(variables):
            first = judged(*(pool.access_token() for _ in range(20)), "junk")
            assert [said for _, said in first] == ["jane"] * 20 + ["malformed_token"]
            # One for the worker before it forked, one for who asked it.
            assert server.count("jwks.json") == 2
            pool.rotate()
            second = judged(*(pool.access_token(username="joe") for _ in range(20)))
            assert [said for _, said in second] == ["joe"] * 20
            assert server.count("jwks.json") == 3 + len({process for process, _ in second})
            assert len({process for process, _ in first + second}) <= 2
