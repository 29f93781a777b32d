"""
What a request passes on its way: a proxy, the guard that it asks, and the application behind it.

All are real, started for the tests and ended with them, at free ports of 127.0.0.1.  The proxies run with the files of
examples/forward_auth, in which nothing is changed but the ports.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cognito_guard.forward_auth import Proxy

EXAMPLES = Path(__file__).parents[2] / "examples" / "forward_auth"
LOOPBACK = "127.0.0.1"
PATIENCE = 30.0
"""Seconds; everything here answers in a fraction of one, a loaded machine may need more."""
_POLL = 0.02
_APPLICATION, _PROXY, _GUARD = "8000", "8001", "8080"
_ATTEMPTS = 3

PROXIES: tuple[Proxy, ...] = ("nginx", "caddy", "haproxy", "envoy")
_FILES = {
    "nginx": ("nginx.conf",),
    "caddy": ("Caddyfile",),
    "haproxy": ("haproxy.cfg", "cognito_guard.lua"),
    "envoy": ("envoy.yaml",),
}
# What a stand-alone instance needs around the part that the example shows.
_NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include example/nginx.conf;
}
"""
_CADDY = "{\n\tadmin off\n\tauto_https off\n}\nimport example/Caddyfile\n"
_COMMANDS: dict[Proxy, Callable[[Path], list[str]]] = {
    "nginx": lambda place: ["nginx", "-p", str(place), "-c", str(place / "main.conf")],
    "caddy": lambda place: ["caddy", "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"],
    "haproxy": lambda place: ["haproxy", "-db", "-f", str(place / "example" / "haproxy.cfg")],
    "envoy": lambda place: [
        *("envoy", "-c", str(place / "example" / "envoy.yaml"), "--use-dynamic-base-id"),
        *("--concurrency", "1", "-l", "warn"),
    ],
}


class PartError(RuntimeError):
    """Say that a part is missing or does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Hold a response: names in lower case, each value of a repeated header."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Hold a request as the application got it: names in lower case, each value of a repeated header."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def identity(self) -> dict[str, str]:
        """Return the headers that a CGI program would read as one of the guard's; empty ones tell it nothing."""
        told = [(re.sub("[^a-z0-9]", "-", name), value) for name, value in self.headers]
        found = [(name, value) for name, value in told if name.startswith("x-auth-") and value]
        if len(dict(found)) != len(found):
            raise AssertionError(f"identity told twice: {found}")
        return dict(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Stand behind the proxy, and keep what comes."""

    port: int
    arrivals: list[Arrival] = field(default_factory=list[Arrival])


@contextmanager
def application() -> Generator[Application]:
    """Serve an application that answers everything with 200."""
    arrivals: list[Arrival] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Any:
            # Whatever the method: the application judges nothing.
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def _answer(self) -> None:
            headers = [(name.lower(), value) for name, value in self.headers.items()]
            body = self._chunks() if self.headers.get("Transfer-Encoding") else self._all()
            arrivals.append(Arrival(method=self.command, target=self.path, headers=headers, body=body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _all(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Print nothing."""

    server = _Server((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL,), name="application", daemon=True)
    thread.start()
    try:
        yield Application(port=server.server_port, arrivals=arrivals)
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a proxy may reset a connection that it needs no more."""


@contextmanager
def guard(place: Path, *, proxy: Proxy, jwks_uri: str) -> Generator[int]:
    """Run `cognito-guard serve` with the example's rules, and yield its port."""
    text = (EXAMPLES / "guard.toml").read_text()
    text = text.replace('proxy = "nginx"', f'proxy = "{proxy}"')
    text = text.replace("[verifier]", f'[verifier]\njwks_uri = "{jwks_uri}"\nallow_insecure_http = true')
    config = place / "guard.toml"
    config.write_text(text)
    command = [sys.executable, "-m", "cognito_guard", "serve", "--config", str(config), "--port", "0"]
    log = place / "guard.log"
    with (
        # No pipe, which would fill up: each refusal is logged.
        log.open("wb") as output,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, text=True) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.fullmatch(r"listening on 127\.0\.0\.1 port (\d+)\n", line)
            if found is None:
                raise PartError(f"the guard did not start: {line}{log.read_text(errors='replace')}")
            yield int(found[1])
        finally:
            _end(process)


@contextmanager
def proxy_before(place: Path, name: Proxy, *, guard_port: int, application_port: int) -> Generator[int]:
    """Run a proxy with its example's files, and yield its port."""
    problems: list[str] = []
    for _ in range(_ATTEMPTS):
        port = free_port()
        # Another program may take the port first.
        with _running(_laid_out(place, name, (application_port, port, guard_port)), place, port) as problem:
            if problem is None:
                yield port
                return
        problems.append(problem)
    raise PartError(f"{name} did not start: {problems}")


def ask(port: int, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> Answer:
    """Send a request, byte for byte as it is given, and read the response."""
    lines = [f"{method} {target} HTTP/1.1", "Host: app", *(f"{name}: {value}" for name, value in headers)]
    given = {name.lower() for name, _ in headers}
    if body and "transfer-encoding" not in given:
        lines.append(f"Content-Length: {len(body)}")
    if "connection" not in given:
        lines.append("Connection: close")
    with socket.create_connection((LOOPBACK, port), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        with HTTPResponse(connection, method=method) as response:
            response.begin()
            got = [(name.lower(), value) for name, value in response.getheaders()]
            return Answer(status=response.status, headers=got, body=response.read())


def free_port() -> int:
    """Return a port at which nobody listens now."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def closed_port() -> Generator[int]:
    """Yield a port at which nobody listens, and nobody else comes to do so meanwhile."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield held.getsockname()[1]


def _laid_out(place: Path, name: Proxy, ports: Sequence[int]) -> list[str]:
    """Write a proxy's files with these ports, and return its command."""
    (place / "example").mkdir(exist_ok=True)
    numbers: dict[str, str] = dict(zip((_APPLICATION, _PROXY, _GUARD), map(str, ports), strict=True))
    for file in _FILES[name]:
        text = re.sub(r"\b80(00|01|80)\b", lambda found: numbers[found[0]], (EXAMPLES / file).read_text())
        (place / "example" / file).write_text(text)
    (place / "main.conf").write_text(_NGINX)
    (place / "Caddyfile").write_text(_CADDY)
    command = _COMMANDS[name](place)
    # Debian keeps servers in /usr/sbin; what pip installed lies beside Python.
    where = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    program = shutil.which(command[0], path=where)
    if program is None:
        raise PartError(f"{command[0]} is not installed")
    return [program, *command[1:]]


@contextmanager
def _running(command: list[str], place: Path, port: int) -> Generator[str | None]:
    """Run a server, and yield None once it listens, else why it does not."""
    log = place / "log"
    home = os.environ | {"XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=place / "example", env=home) as process,
    ):
        try:
            yield None if _listens(process, port) else log.read_text(errors="replace")[-2000:]
        finally:
            _end(process)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    for _ in range(int(PATIENCE / _POLL)):
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=PATIENCE):
            return process.poll() is None
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL)
            return False
    return False


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
