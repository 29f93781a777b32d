"""
What other verifiers take for the same tokens, each in an environment of its own and beside the bare RSA check there.

Installs them under build/benchmarks, once.  What they check differs: some leave out the issuer, the client or the
kind of token.  A generic library is given a few lines that check what is Cognito's.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from cognito_guard.testing import FakeUserPool

from .harness import Absent, Effort, Figure, Result, pin, spread
from .subjects import GROUPS, TRANSACTIONS, access_tokens, id_tokens

_HERE = Path(__file__).parent
_INSTALLED = _HERE.parent / "build" / "benchmarks"
_RESOURCE = "https://transactions.example.com"
_TOKENS = 500
_PATIENCE = 300  # seconds for an installation or a measurement
_NEWER = ("python3.14", "python3.13", "python3.12")
Kind: TypeAlias = Literal["access", "id", "bound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """
    Name a verifier and what is measured of it.

    Attributes:
        name: as it stands in the table.
        worker: what measures it, in `peer_worker.py` or `peer_worker.mjs`.
        packages: what is installed for it; the first one's version is told.
        kind: the tokens that it takes: access tokens, ID tokens, access tokens bound to a resource.
        bar: how many times as long as this package it must take at least.
        node: whether it runs on Node.js.
        newer: whether it needs Python 3.12.
    """

    name: str
    worker: str
    packages: tuple[str, ...]
    kind: Kind = "access"
    bar: float | None = None
    node: bool = False
    newer: bool = False

    @property
    def package(self) -> str:
        """The package that is measured, without extras."""
        return self.packages[0].partition("[")[0]


_OURS = ("cognito-guard",)
PEERS = (
    Peer(name="cognito_guard, access token new", worker="cognito_guard_new", packages=_OURS),
    Peer(name="cognito_guard, access token seen", worker="cognito_guard_seen", packages=_OURS),
    Peer(name="cognito_guard, ID token new", worker="cognito_guard_new", packages=_OURS, kind="id"),
    Peer(name="cognito_guard, bound token new", worker="cognito_guard_new", packages=_OURS, kind="bound"),
    Peer(name="PyJWT, PyJWKClient", worker="pyjwt_client", packages=("pyjwt[crypto]",), bar=4.5),
    Peer(name="PyJWT, key in hand", worker="pyjwt_key", packages=("pyjwt[crypto]",)),
    Peer(name="joserfc", worker="joserfc", packages=("joserfc",), bar=1.7),
    Peer(name="Authlib", worker="authlib", packages=("authlib",)),
    Peer(name="python-jose", worker="python_jose", packages=("python-jose[cryptography]",)),
    Peer(name="fastapi-cognito", worker="fastapi_cognito", packages=("fastapi-cognito",), bar=3),
    Peer(name="flask-cognito-lib", worker="flask_cognito_lib", packages=("flask-cognito-lib",), bar=3),
    Peer(
        name="django-cognito-jwt, ID token",
        worker="django_cognito_jwt",
        packages=("django-cognito-jwt", "django<6"),
        kind="id",
        bar=3,
    ),
    Peer(
        name="cognito-jwt-verifier",
        worker="cognito_jwt_verifier",
        packages=("cognito-jwt-verifier",),
        bar=3,
        newer=True,
    ),
    Peer(name="FastMCP, AWSCognitoTokenVerifier", worker="fastmcp", packages=("fastmcp",), bar=3),
    Peer(
        name="Powertools for AWS Lambda, bound token",
        worker="aws_lambda_powertools",
        packages=("aws-lambda-powertools", "pyjwt[crypto]"),
        kind="bound",
        bar=3,
    ),
    Peer(name="ryjwt", worker="ryjwt", packages=("ryjwt", "cryptography"), newer=True),
    Peer(name="aws-jwt-verify (Node.js)", worker="aws_jwt_verify", packages=("aws-jwt-verify",), node=True),
    Peer(name="fast-jwt (Node.js)", worker="fast_jwt_new", packages=("fast-jwt",), node=True),
    Peer(name="fast-jwt (Node.js), token seen", worker="fast_jwt_seen", packages=("fast-jwt",), node=True),
)


class NotMeasuredError(Exception):
    """Say why a peer can't be measured here."""


def run(effort: Effort) -> list[Result]:
    """Install and measure one peer after the other, on one core."""
    pin()
    pool = FakeUserPool(resource_servers=[TRANSACTIONS])
    count = min(_TOKENS, effort.tokens)
    tokens: dict[Kind, list[str]] = {
        "access": access_tokens(pool, count),
        "id": id_tokens(pool, count),
        "bound": [pool.bound_token(_RESOURCE, username=f"user{n}", groups=GROUPS) for n in range(count)],
    }
    results: list[Result] = []
    ours: dict[Kind, float] = {}
    with pool.serve() as server:
        task = {**_constants(pool), "jwks_uri": server.jwks_uri, "rounds": effort.rounds, "batch": effort.batch}
        for peer in PEERS:
            try:
                figure = _figure(peer, {**task, **_tokens(pool, peer.kind, tokens[peer.kind])})
            except NotMeasuredError as error:
                if peer.packages is _OURS:
                    raise
                results.append(Absent(name=peer.name, why=str(error)))
                continue
            results.append(figure)
            if peer.packages is _OURS:
                ours.setdefault(peer.kind, figure.value)
            elif not peer.node:
                results.append(_over_ours(peer, figure, ours[peer.kind]))
    return results


def _over_ours(peer: Peer, figure: Figure, ours: float) -> Figure:
    """Return how many times as long as this package a peer takes, both measured by the RSA check beside them."""
    return Figure(
        name=f"{peer.name}, over cognito_guard",
        value=figure.value / ours,
        low=figure.low / ours,
        high=figure.high / ours,
        unit="x ours",
        bar=peer.bar,
        more_is_better=True,
    )


def _constants(pool: FakeUserPool) -> dict[str, Any]:
    return {
        "user_pool_id": pool.user_pool_id,
        "client_id": pool.client_id,
        "issuer": pool.issuer,
        "resource": _RESOURCE,
        "jwks": pool.jwks,
    }


def _tokens(pool: FakeUserPool, kind: Kind, tokens: Sequence[str]) -> dict[str, Any]:
    signed, other = tokens[0].rpartition(".")[0], tokens[1].rpartition(".")[2]
    key = pool.id_key if kind == "id" else pool.access_key
    return {"kind": kind, "tokens": tokens, "forged": f"{signed}.{other}", "kid": key.kid}


def _figure(peer: Peer, task: Mapping[str, Any]) -> Figure:
    command, directory = _installed_node(peer) if peer.node else _installed_python(peer)
    task = {**task, "peer": peer.worker, "package": peer.package}
    report: dict[str, Any] = json.loads(_run(command, directory, given=json.dumps(task)))
    assert report["answers"] == {"good": "user0", "forged": None}, f"{peer.name}: {report['answers']}"
    seconds = report["seconds"]
    ratios = [one / raw for one, raw in zip(seconds["peer"], seconds["raw"], strict=True)]
    microseconds = statistics.median(seconds["peer"]) / task["batch"] * 1e6
    return spread(peer.name, ratios, "x raw", note=f"{peer.package} {report['version']}, {microseconds:.3g} us")


def _installed_python(peer: Peer) -> tuple[list[str], Path]:
    directory = _INSTALLED / peer.package
    python = directory / "bin" / "python"
    # Ours as it stands here.
    packages = ["-e", str(_HERE.parent)] if peer.packages is _OURS else list(peer.packages)
    if not _is_done(directory, packages):
        _run([_interpreter(peer), "-m", "venv", "--clear", str(directory)], _HERE)
        _run([str(python), "-m", "pip", "install", "-q", *packages], _HERE)
        _done(directory, packages)
    return [str(python), "-P", str(_HERE / "peer_worker.py")], directory


def _installed_node(peer: Peer) -> tuple[list[str], Path]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotMeasuredError("Node.js is not installed")
    directory = _INSTALLED / peer.package
    packages = list(peer.packages)
    if not _is_done(directory, packages):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_text('{"private": true}\n')
        options = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
        _run([npm, "install", *options, *packages], directory)
        _done(directory, packages)
    worker = directory / "peer_worker.mjs"
    shutil.copy(_HERE / worker.name, worker)
    return [node, str(worker)], directory


def _is_done(directory: Path, packages: Sequence[str]) -> bool:
    marker = directory / "installed"
    return marker.exists() and marker.read_text() == " ".join(packages)


def _done(directory: Path, packages: Sequence[str]) -> None:
    (directory / "installed").write_text(" ".join(packages))


def _interpreter(peer: Peer) -> str:
    if not peer.newer or sys.version_info >= (3, 12):
        return sys.executable
    for path in filter(None, map(shutil.which, _NEWER)):
        # What is found may be a shim for a version that is not there.
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:  # noqa: S603
            return path
    raise NotMeasuredError("needs Python 3.12")


def _run(command: Sequence[str], directory: Path, *, given: str = "") -> str:
    ended = subprocess.run(  # noqa: S603  (our own commands)
        command, cwd=directory, input=given, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    if ended.returncode != 0:
        raise NotMeasuredError(next(_complaints(ended.stderr), f"{command[0]} failed"))
    return ended.stdout


def _complaints(stderr: str) -> Iterator[str]:
    """Return the lines that tell most, the best one first."""
    lines = stderr.strip().splitlines()
    yield from (line for line in lines if line.startswith("ERROR: No matching"))
    yield from reversed(lines)
