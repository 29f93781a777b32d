"""
The command line: `cognito-guard`.

Each command lives in a module of its own, which is loaded when it is called.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .._version import __version__

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]

_TOKEN = (
    "The token comes from standard input, or from the variable COGNITO_TOKEN; never from an argument, which would stand"
    " in the list of processes and in the history of the shell.  `Bearer ` before it is left out."
)
_SETTINGS = "Settings come from the COGNITO_... variables that CognitoVerifier.from_env reads."


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command.

    Args:
        argv: the arguments, by default the process's.

    Returns:
        The exit status: 0 where all is as it should be, 1 where not or where nobody reads on what is printed (as in
        `cognito-guard inspect | head -1`), 2 for a wrong call or a missing extra.
    """
    try:
        try:
            return _run(argv)
        finally:
            # Here, where it can be caught, and not when the interpreter ends.
            print(end="", flush=True)
    except BrokenPipeError:
        _let_go_of_output()
        return 1


def _let_go_of_output() -> None:
    """Lead what is still to be flushed to nowhere, or the interpreter's end fails once more (docs of `signal`)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        run: Callable[[], int] = arguments.load(arguments)
    except ImportError as error:
        print(error, file=sys.stderr)
        return 2
    return run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cognito-guard", description="Guard Python web APIs with Amazon Cognito.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_servers(commands)
    _add_examinations(commands)
    return parser


def _add_servers(commands: _Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="guard an API against a local user pool and walk through what it answers",
        description="Start a local user pool and a guarded API on loopback, and show what gets in and what does not.",
    )
    demo.add_argument("--serve", action="store_true", help="keep both running, and print curl lines with ready tokens")
    demo.set_defaults(load=_demo)
    serve = commands.add_parser(
        "serve",
        help="judge requests for nginx, Caddy, Traefik, Envoy or HAProxy",
        description="Serve the rules of a file to a proxy that asks about each request before it passes it on.",
    )
    serve.add_argument("--config", required=True, metavar="FILE", help="TOML: the proxy, the rules, the user pool")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen at (%(default)s)")
    serve.add_argument("--port", default=8080, type=int, help="the port to listen at (%(default)s); 0 for any")
    serve.set_defaults(load=_serve)


def _add_examinations(commands: _Commands) -> None:
    inspect = commands.add_parser(
        "inspect",
        help="show what a token says, without verifying it",
        description=f"Decode a token without verifying it.  {_TOKEN}",
    )
    inspect.set_defaults(load=_inspect)
    explain = commands.add_parser(
        "explain",
        help="verify a token, and tell why it is accepted or refused",
        description=f"Make every check of a token and show what came out.  {_TOKEN}  {_SETTINGS}",
    )
    explain.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="what the operation needs")
    explain.add_argument("--group", action="append", default=[], metavar="GROUP", help="whose members alone may")
    explain.set_defaults(load=_explain)
    doctor = commands.add_parser(
        "doctor",
        help="examine settings, key endpoints and the clock",
        description=f"Examine the settings and what they point at: keys, discovery documents, the clock.  {_SETTINGS}",
    )
    doctor.set_defaults(load=_doctor)
    for command in (inspect, explain, doctor):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    for command in (explain, doctor):
        command.add_argument("--user-pool-id", metavar="ID", help="in place of COGNITO_USER_POOL_ID")
        command.add_argument(
            "--client-id", action="append", metavar="ID", help="in place of COGNITO_CLIENT_ID; may be repeated"
        )


def _demo(arguments: argparse.Namespace) -> Callable[[], int]:
    from .demo import run_demo

    return partial(run_demo, serve=arguments.serve)


def _serve(arguments: argparse.Namespace) -> Callable[[], int]:
    from .serve import run_server

    return partial(run_server, arguments.config, host=arguments.host, port=arguments.port)


def _inspect(arguments: argparse.Namespace) -> Callable[[], int]:
    from .inspect import run_inspect

    return partial(run_inspect, as_json=arguments.json)


def _explain(arguments: argparse.Namespace) -> Callable[[], int]:
    from .explain import run_explain
    from .given import settings_given

    settings = settings_given(arguments)
    return partial(run_explain, settings, scopes=arguments.scope, groups=arguments.group, as_json=arguments.json)


def _doctor(arguments: argparse.Namespace) -> Callable[[], int]:
    from .doctor import run_doctor
    from .given import settings_given

    return partial(run_doctor, settings_given(arguments), as_json=arguments.json)
