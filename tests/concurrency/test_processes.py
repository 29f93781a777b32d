"""Processes: what a fork leaves behind, what starts anew, how servers and programs begin and end."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from queue import Queue
from threading import Barrier, Event, Thread, current_thread, get_native_id
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from cognito_guard import CognitoVerifier, RefreshSchedule, UnavailableError, Verifier, forksafe
from cognito_guard.forksafe import ForkSafe
from cognito_guard.keys.remote import RemoteKeys
from cognito_guard.testing import FakeClock, FakeUserPool, FakeUserPoolServer, Fault, FaultyJWKSServer

from . import FOR_EVER, PATIENCE, environment, fetches_ended, in_threads
from .forks import in_child, needs_fork

LOOPBACK = "127.0.0.1"
SCHEDULE = RefreshSchedule(deadline=FOR_EVER)
only_linux_tells = pytest.mark.skipif(sys.platform != "linux", reason="whether the system still has a thread")


class CountedFetch:
    """
    Fetch a user pool's keys, and hang in the process that is told to.

    Attributes:
        calls: how many fetches began in this process, and before it was forked.
        begun: set with the first.
        gate: fetches that hang wait until it is open.
        hangs_in: the process in which they do.
    """

    def __init__(self, pool: FakeUserPool) -> None:
        self.calls = 0
        self.begun = Event()
        self.gate = Event()
        self.hangs_in: int | None = None
        self._pool = pool

    def __call__(self, uri: str, timeout: float, /) -> bytes:
        self.calls += 1
        self.begun.set()
        if self.hangs_in == os.getpid():
            assert self.gate.wait(PATIENCE)
        return self._pool.fetch(uri, timeout)


@pytest.fixture
def counted(pool: FakeUserPool) -> Iterator[CountedFetch]:
    fetch = CountedFetch(pool)
    yield fetch
    fetch.gate.set()
    fetches_ended()


@needs_fork
@pytest.mark.parametrize("prefetched", [pytest.param(False, id="cold"), pytest.param(True, id="with keys")])
def test_forked_process_answers_by_itself(
    pool: FakeUserPool, counted: CountedFetch, token: str, prefetched: bool
) -> None:
    """A worker process fetches its own keys, or goes on with those that were fetched before the fork."""
    verifier = pool.verifier(fetch=counted)
    if prefetched:
        verifier.prefetch()

    def check() -> bool:
        first = verifier.verify(token)
        return first == asyncio.run(verifier.averify(token)) and counted.calls == 1

    assert in_child(check)
    assert in_child(lambda: in_child(check))
    assert counted.calls == int(prefetched)
    assert verifier.verify(token).username == "jane"


@needs_fork
def test_process_forked_during_a_fetch_makes_its_own(pool: FakeUserPool, counted: CountedFetch, token: str) -> None:
    """The parent's fetch does not exist in the child; in the parent it goes on, and so do those who wait for it."""
    counted.hangs_in = os.getpid()
    verifier = pool.verifier(fetch=counted, schedule=SCHEDULE)
    waiters = [
        *in_threads(5, lambda: verifier.verify(token)),
        *in_threads(2, lambda: asyncio.run(verifier.averify(token))),
    ]
    assert counted.begun.wait(PATIENCE)
    for _ in range(2):
        assert in_child(lambda: verifier.verify(token).username == "jane" and counted.calls == 2)
    assert not any(waiter.done() for waiter in waiters)
    counted.gate.set()
    assert [waiter.result(PATIENCE).username for waiter in waiters] == ["jane"] * 7
    assert counted.calls == 1


@needs_fork
def test_process_forked_by_a_task_makes_its_own_fetch(pool: FakeUserPool, counted: CountedFetch, token: str) -> None:
    """A fork in a running loop, beside a task that waits: the child has another loop, and the parent its own."""
    counted.hangs_in = os.getpid()
    verifier = pool.verifier(fetch=counted, schedule=SCHEDULE)

    def check() -> bool:
        return verifier.verify(token) == asyncio.run(verifier.averify(token)) and counted.calls == 2

    async def fork() -> str | None:
        waiter = asyncio.create_task(verifier.averify(token))
        await asyncio.sleep(0)
        assert await asyncio.to_thread(counted.begun.wait, PATIENCE)
        assert in_child(check)
        assert not waiter.done()
        counted.gate.set()
        return (await waiter).username

    assert asyncio.run(fork()) == "jane"
    assert counted.calls == 1


@needs_fork
def test_process_forked_while_a_thread_holds_the_lock_is_not_stuck(pool: FakeUserPool, counted: CountedFetch) -> None:
    """The thread that held it does not exist in the child, and would never release it."""
    kid = pool.access_key.kid
    source = RemoteKeys({"issuer": "uri"}, schedule=SCHEDULE, fetch=counted)
    with source._lock:  # pyright: ignore[reportPrivateUsage]
        assert in_child(lambda: source.get("issuer", kid).kid == kid)
    assert source.get("issuer", kid).kid == kid


@needs_fork
def test_processes_forked_under_load_are_not_stuck(pool: FakeUserPool, counted: CountedFetch, token: str) -> None:
    """Wherever the other threads are at the fork, among locks, a full cache and fetches, the child verifies."""
    verifier = pool.verifier(
        fetch=counted, schedule=RefreshSchedule(fresh_for=0.0, deadline=FOR_EVER), token_cache_size=2
    )
    tokens = [pool.access_token() for _ in range(4)]
    done, all_verify = Event(), Barrier(5)

    def load() -> int:
        # An application's own threads are its own affair, and OpenSSL holds a lock while it serves one first.
        assert verifier.verify(token).username == "jane"
        all_verify.wait(PATIENCE)
        for verified, loaded in enumerate(cycle(tokens)):
            if done.is_set():
                return verified
            assert verifier.verify(loaded).username == "jane"
        raise AssertionError

    threads = in_threads(4, load)
    all_verify.wait(PATIENCE)
    try:
        for _ in range(15):
            assert in_child(lambda: all(verifier.verify(one).username == "jane" for one in (*tokens, token)))
    finally:
        done.set()
    assert all(thread.result(PATIENCE) > 0 for thread in threads)


def tells_nothing(_: str) -> bool:
    """Be a system on which no thread can be looked up."""
    return False


@needs_fork
@pytest.mark.parametrize("system_tells", [True, False])
def test_fork_waits_for_a_fetch_that_is_about_to_end(
    pool: FakeUserPool, token: str, monkeypatch: pytest.MonkeyPatch, system_tells: bool
) -> None:
    """Whatever locks it holds in libraries that we do not know: whoever forks does so between two fetches."""
    monkeypatch.setattr(forksafe, "FORK_WAITS", FOR_EVER)
    if not system_tells:
        monkeypatch.setattr(os.path, "exists", tells_nothing)
    begun: Queue[Thread] = Queue()

    def fetch(uri: str, timeout: float, /) -> bytes:
        begun.put(current_thread())
        for _ in range(100):
            pool.access_token()
        return pool.fetch(uri, timeout)

    verifier = pool.verifier(fetch=fetch, schedule=SCHEDULE)
    [verified] = in_threads(1, lambda: verifier.verify(token))
    thread = begun.get(timeout=PATIENCE)
    assert in_child(lambda: True)
    assert not thread.is_alive()
    assert verified.result(PATIENCE).username == "jane"


@needs_fork
@only_linux_tells
def test_fork_waits_until_the_system_has_taken_the_thread_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is after Python has forgotten it, and OpenSSL holds a lock meanwhile: one fork in a hundred was stuck."""
    forgotten, living, gate = Thread(), Thread(target=lambda: gate.wait(PATIENCE)), Event()
    forgotten.start()
    forgotten.join()
    living.start()

    def look(_: float) -> None:
        gate.set()

    monkeypatch.setattr(forksafe, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=look))
    inside = forksafe._Fetching(forgotten, living.native_id or 0)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(forksafe.fork_gate, "_inside", [inside])
    assert in_child(lambda: True)
    assert not living.is_alive()


@only_linux_tells
def test_threads_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those that the system still has, though Python has forgotten them; a process that never forks keeps few."""
    forgotten = Thread()
    forgotten.start()
    forgotten.join()
    gone, dying = (
        forksafe._Fetching(forgotten, native_id)  # pyright: ignore[reportPrivateUsage]
        for native_id in (0, get_native_id())
    )
    monkeypatch.setattr(forksafe.fork_gate, "_inside", [gone, dying])
    entered = Thread(target=forksafe.fork_gate.enter)
    entered.start()
    entered.join()
    inside = forksafe.fork_gate._inside  # pyright: ignore[reportPrivateUsage]
    assert [fetching.thread for fetching in inside] == [forgotten, entered]


@contextmanager
def forking() -> Generator[None]:
    """Be in the middle of a fork."""
    forksafe.fork_gate.close()
    try:
        yield
    finally:
        forksafe.fork_gate.open()


@needs_fork
def test_fetch_that_comes_during_a_fork_waits_for_its_end(pool: FakeUserPool, token: str) -> None:
    """So that none begins between the last look and the fork."""
    order: list[str] = []

    def fetch(uri: str, timeout: float, /) -> bytes:
        order.append("fetch")
        return pool.fetch(uri, timeout)

    verifier = pool.verifier(fetch=fetch, schedule=SCHEDULE)
    with forking():
        [verified] = in_threads(1, lambda: verifier.verify(token))
        for _ in range(100):
            pool.access_token()
        order.append("forked")
    assert verified.result(PATIENCE).username == "jane"
    assert order == ["forked", "fetch"]


@needs_fork
def test_fork_in_the_middle_of_a_fork_is_not_stuck(pool: FakeUserPool, token: str) -> None:
    """A signal's handler may fork, and so may another thread: that one waits for a second at most."""
    verifier = pool.verifier(schedule=SCHEDULE)
    with forking():
        assert in_child(lambda: verifier.verify(token).username == "jane")
        [other] = in_threads(1, lambda: in_child(lambda: verifier.verify(token).username == "jane"))
        assert other.result(PATIENCE)
    assert verifier.verify(token).username == "jane"


def by_issuer(pool: FakeUserPool) -> Verifier:
    """Make a verifier for the pool's issuer."""
    return CognitoVerifier.by_issuer({pool.issuer: pool.verifier()}.get)


@needs_fork
@pytest.mark.parametrize("make", [FakeUserPool.verifier, by_issuer])
def test_process_forked_while_a_verifier_is_made_starts_clean(
    pool: FakeUserPool, monkeypatch: pytest.MonkeyPatch, make: Callable[[FakeUserPool], Verifier]
) -> None:
    """Wherever a thread is in the middle of making one: what is half made keeps nothing from being reset."""
    errors: list[object] = []
    outcomes: list[bool] = []
    # What a fork's callbacks raise goes there, and the others are not called.
    monkeypatch.setattr(sys, "unraisablehook", errors.append)

    def at_line(_: FrameType, event: str, __: object) -> Any:
        if event == "line":
            outcomes.append(in_child(lambda: not errors))
        return at_line

    def at_call(frame: FrameType, *_: object) -> Any:
        is_being_made = frame.f_code.co_name == "__init__" and isinstance(frame.f_locals["self"], ForkSafe)
        return at_line if is_being_made else None

    def traced() -> Verifier:
        before = sys.gettrace()
        sys.settrace(at_call)
        try:
            return make(pool)
        finally:
            sys.settrace(before)

    [verifier] = in_threads(1, traced)
    assert verifier.result(PATIENCE).verify(pool.access_token()).username == "jane"
    assert len(outcomes) > 10
    assert all(outcomes)


@needs_fork
def test_process_forked_after_an_outage_began_recovers_by_itself(
    pool: FakeUserPool, clock: FakeClock, token: str
) -> None:
    """The child inherits the backoff and not the parent's fate."""
    answers: list[Callable[[str, float], bytes]] = []

    def fetch(uri: str, timeout: float, /) -> bytes:
        return answers[0](uri, timeout)

    verifier = pool.verifier(fetch=fetch, timer=clock)

    def unavailable() -> bool:
        with pytest.raises(UnavailableError):
            verifier.verify(token)
        return True

    assert unavailable()

    def check() -> bool:
        answers.append(pool.fetch)
        still = unavailable()
        clock.tick(1.0)
        return still and verifier.verify(token).username == "jane"

    assert in_child(check)
    clock.tick(1.0)
    assert unavailable()


@pytest.fixture
def served() -> Iterator[tuple[FakeUserPool, FakeUserPoolServer]]:
    """Yield a user pool in real time, as other processes see it, and its server."""
    pool = FakeUserPool()
    with pool.serve() as server:
        yield pool, server


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_worker_processes_each_fetch_once(served: tuple[FakeUserPool, FakeUserPoolServer], method: str) -> None:
    """However a process was started, a verifier made in it works; principals and refusals come back from it whole."""
    pool, server = served
    tokens = [pool.access_token() for _ in range(6)]
    command = [sys.executable, "-W", "error", "-m", "concurrency.workers", method, *tokens, "junk"]
    output = subprocess.check_output(command, env=environment(pool, server.jwks_uri), timeout=PATIENCE)
    *accepted, refused = json.loads(output)
    assert {username for _, username in accepted} == {"jane"}
    assert refused == [None, "malformed_token"]
    assert server.count("jwks.json") == len({process for process, _ in accepted})


@contextmanager
def gunicorn(listener: socket.socket, variables: Mapping[str, str]) -> Generator[None]:
    """Serve the preloaded application in two processes."""
    options = ["--preload", "--workers", "2", "--bind", f"fd://{listener.fileno()}", "--log-level", "critical"]
    command = [sys.executable, "-m", "gunicorn", *options, "concurrency.preloaded:app"]
    process = subprocess.Popen(command, env=variables, pass_fds=[listener.fileno()])
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


def ask_both(address: tuple[str, int], token: str) -> list[tuple[str, ...]]:
    """Keep one worker busy with half a request while the other one answers; return process and caller of both."""
    request = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    with socket.create_connection(address, PATIENCE) as slow, socket.create_connection(address, PATIENCE) as quick:
        slow.sendall(request[:-2])
        quick.sendall(request)
        answers = [body_of(quick)]
        slow.sendall(request[-2:])
        answers.append(body_of(slow))
    return [tuple(answer.decode().split()) for answer in answers]


def body_of(connection: socket.socket) -> bytes:
    """Read an answer to its end, and return its body."""
    answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    return answer.partition(b"\r\n\r\n")[2]


@needs_fork
@pytest.mark.parametrize(
    "variables, fetches",
    [pytest.param({}, 2, id="cold"), pytest.param({"PREFETCH": "1"}, 1, id="with keys")],
)
def test_preloaded_application_is_served_by_each_forked_worker(
    served: tuple[FakeUserPool, FakeUserPoolServer], variables: dict[str, str], fetches: int
) -> None:
    """gunicorn loads it, keys and all, and forks: each worker answers, and each sees a rotation by itself."""
    pool, server = served
    with (
        socket.create_server((LOOPBACK, 0)) as listener,
        gunicorn(listener, environment(pool, server.jwks_uri) | variables),
    ):
        (one, *_), (other, *_) = first = ask_both(listener.getsockname(), pool.access_token())
        assert one != other
        assert {username for _, username in first} == {"jane"}
        assert server.count("jwks.json") == fetches
        pool.rotate()
        second = ask_both(listener.getsockname(), pool.access_token(username="joe"))
        assert {*second} == {(one, "joe"), (other, "joe")}
        assert server.count("jwks.json") == fetches + 2


PROGRAM = """
import asyncio, atexit, sys, threading
from cognito_guard import CognitoVerifier, RefreshSchedule, UnavailableError, Verifier

def verify():
    verifier.verify(sys.argv[1])

async def averify():
    await verifier.averify(sys.argv[1])

verifier = CognitoVerifier.from_env(schedule=RefreshSchedule(deadline=300.0))
"""
"""What each of the programs below begins with."""
WAIT = "threading.Thread(target=verify, daemon=True).start(); sys.stdin.readline()"
"""Begin a fetch on the way, and go on once the other end knows of it."""
AWAIT = """
async def main():
    task = asyncio.create_task(averify())
    await asyncio.to_thread(sys.stdin.readline)
asyncio.run(main())
"""
AT_EXIT = """
@atexit.register
def late():
    try:
        verify()
    except UnavailableError:
        pass
"""


IMPORTS = """
import sys, threading
from cognito_guard import CognitoVerifier, HTTPSFetch

def note(event, args):
    if event == "import" and threading.current_thread() is not threading.main_thread():
        print(args[0])

verifier = CognitoVerifier.from_env(fetch=HTTPSFetch(ca_file=sys.argv[2] or None))
sys.addaudithook(note)
verifier.verify(sys.argv[1])
"""


@pytest.mark.parametrize("tls", [pytest.param(False, id="http"), pytest.param(True, id="https")])
def test_fetch_imports_nothing(tls: bool) -> None:
    """A process forked while a thread imports a module hangs when it needs that module: it is half there for ever."""
    pool = FakeUserPool()
    with FaultyJWKSServer(pool, tls=tls) as server:
        command = [sys.executable, "-W", "error", "-c", IMPORTS, pool.access_token(), str(server.ca_file or "")]
        variables = environment(pool, server.jwks_uri) | {"NO_PROXY": "*"}
        assert subprocess.check_output(command, env=variables, timeout=PATIENCE, text=True).split() == []


def ends_well(program: str, pool: FakeUserPool, server: FaultyJWKSServer, begun: Callable[[], None]) -> bool:
    """Run a program, let it go on when it has begun, and tell whether it ends in time, with 0, and without a word."""
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", program, pool.access_token()]
    process = subprocess.Popen(
        command,
        env=environment(pool, server.jwks_uri),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            begun()
            output, _ = process.communicate(b"\n", PATIENCE)
        finally:
            process.kill()
    assert output == b""
    return process.returncode == 0


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(WAIT, id="its main thread ends"),
        pytest.param(f"{WAIT}; sys.exit(0)", id="it exits"),
        pytest.param(f"{WAIT}; del verifier, verify", id="it forgets its verifier"),
        pytest.param(AWAIT, id="its event loop ends"),
    ],
)
def test_program_that_ends_during_a_fetch_ends_at_once(rest: str) -> None:
    """A fetch in flight keeps no process alive, and says nothing on the way out."""
    pool = FakeUserPool()
    with FaultyJWKSServer(pool) as server:
        server.down(Fault.HANG)
        assert ends_well(f"{PROGRAM}{rest}", pool, server, lambda: server.wait_until_hanging(timeout=PATIENCE))


def test_program_that_verifies_while_it_exits_is_served_or_told() -> None:
    """The fetch works where Python still starts threads then, and elsewhere it is one that failed."""
    pool = FakeUserPool()
    with FaultyJWKSServer(pool) as server:
        assert ends_well(f"{PROGRAM}{AT_EXIT}", pool, server, lambda: None)
