"""The rules of the suite itself: loopback only, nothing left running, nobody sleeps."""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hygiene import NetworkForbiddenError, breaches, is_local

TESTS = Path(__file__).parent
# Beyond it: an address nobody has (RFC 5737), and a name that can't exist (RFC 6761).
NOWHERE = ("192.0.2.1", 443)
NO_NAME = "nobody.invalid"
POLLING = {TESTS / "e2e" / "emulators.py", TESTS / "e2e" / "guarded_api.py"}
"""What waits for a process of somebody else's, which tells nobody when it is ready."""

IMPATIENT = """
import threading

import hygiene

hygiene.GRACE = 2.0
stop = threading.Event()


def pytest_sessionfinish():
    stop.set()
"""
UNCLEAN = """
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from impatient import stop

workers = [ThreadPoolExecutor(), ThreadPoolExecutor()]


@pytest.fixture(scope="module", autouse=True)
def server():
    served = threading.Event()
    threading.Thread(target=served.wait).start()
    yield
    served.set()


def test_clean():
    pass


def test_swallowed():
    with suppress(Exception):
        socket.create_connection(("192.0.2.1", 443))


def test_in_a_thread():
    def ask():
        with suppress(Exception):
            socket.getaddrinfo("nobody.invalid", 443)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()


def test_of_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert socket.getaddrinfo("localhost", 80)


def test_forgotten_thread():
    threading.Thread(target=stop.wait, name="forgotten").start()


def test_forgotten_fetch():
    threading.Thread(target=stop.wait, name="cognito-guard-keys", daemon=True).start()


def test_daemon():
    threading.Thread(target=stop.wait, daemon=True).start()


def test_busy_worker():
    begun = threading.Event()

    def work():
        begun.set()
        stop.wait()

    workers[0].submit(work)
    assert begun.wait(30)


def test_idle_worker():
    workers[1].submit(len, "").result()


def test_ending_thread():
    threading.Timer(0.05, lambda: None).start()
"""

BEYOND: Mapping[str, Callable[[socket.socket, socket.socket], object]] = {
    "connect": lambda tcp, _: tcp.connect(NOWHERE),
    "connect without an exception": lambda tcp, _: tcp.connect_ex(NOWHERE),
    "listen to everybody": lambda tcp, _: tcp.bind(("0.0.0.0", 0)),  # noqa: S104
    "send a datagram": lambda _, udp: udp.sendto(b"", NOWHERE),
    "send a message": lambda _, udp: udp.sendmsg([b""], [], 0, NOWHERE),
    "resolve a name": lambda _, __: socket.getaddrinfo(NO_NAME, 443),
    "resolve a name in bytes": lambda _, __: socket.getaddrinfo(NO_NAME.encode(), 443),
    "resolve a name in the old way": lambda _, __: socket.gethostbyname(NO_NAME),
    "look an address up": lambda _, __: socket.gethostbyaddr(NOWHERE[0]),
    "connect by name": lambda _, __: socket.create_connection((NO_NAME, 443)),
}
"""Ways out, for a TCP and a UDP socket."""


@pytest.fixture
def forgiven() -> Iterator[None]:
    """Let a test go where it may not."""
    yield
    breaches.clear()


@pytest.mark.usefixtures("forgiven")
@pytest.mark.parametrize("go", [pytest.param(go, id=name) for name, go in BEYOND.items()])
def test_beyond_loopback_is_stopped_and_noted(go: Callable[[socket.socket, socket.socket], object]) -> None:
    """Whatever the call, before anything leaves the machine; the note outlives a swallowed error."""
    with (
        socket.socket() as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        pytest.raises(NetworkForbiddenError, match=re.compile(r"^socket\.\w+ ")),
    ):
        go(tcp, udp)
    assert len(breaches) == 1


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::1%lo", True),
        ("localhost", True),
        (b"localhost", True),
        (None, True),
        ("", False),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_only_this_machine_is_local(host: object, local: bool) -> None:
    """By its address or its one name; no name is resolved to find out."""
    assert is_local(host) is local


def test_unclean_tests_fail(tmp_path: Path) -> None:
    """Each for its own leftovers, and no other for them."""
    (tmp_path / "test_unclean.py").write_text(UNCLEAN)
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "hygiene", "-p", "impatient", "-p", "no:cacheprovider", "-q", "-rEpf"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(TESTS), str(TESTS.parent)))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    errors = dict(re.findall(r"^ERROR test_unclean\.py::(\w+) - Failed: (.+)$", done.stdout, re.MULTILINE))
    assert {name: message.partition(":")[0] for name, message in errors.items()} == {
        "test_swallowed": "went beyond loopback",
        "test_in_a_thread": "went beyond loopback",
        "test_forgotten_thread": "left threads running",
        "test_forgotten_fetch": "left threads running",
        "test_busy_worker": "left threads running",
    }
    assert "The same order again: -p randomly --randomly-seed=" in done.stdout


def test_nobody_sleeps() -> None:
    """A test waits for an event, with a time limit that fails it; how long a machine takes is nobody's guess."""
    asleep = [
        f"{path.relative_to(TESTS)}:{call.lineno}"
        for path in TESTS.rglob("*.py")
        if path not in POLLING
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and _sleeps(call)
    ]
    assert asleep == []


def _sleeps(call: ast.Call) -> bool:
    """Tell a call of something named `sleep`, but for `sleep(0)`, which lets other tasks run and takes no time."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name == "sleep" and not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)
