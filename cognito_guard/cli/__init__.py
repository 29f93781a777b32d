"""
The command line: `cognito-guard`.

Each command lives in a module of its own, which is loaded when it is called.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from .._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command.

    Args:
        argv: the arguments, by default the process's.

    Returns:
        The exit status: 0 where all is as it should be, 1 where not, 2 for a wrong call or a missing extra.
    """
    parser = argparse.ArgumentParser(prog="cognito-guard", description="Guard Python web APIs with Amazon Cognito.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
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
    arguments = parser.parse_args(argv)
    try:
        command: Callable[[], int] = arguments.load(arguments)
    except ImportError as error:
        print(error, file=sys.stderr)
        return 2
    return command()


def _demo(arguments: argparse.Namespace) -> Callable[[], int]:
    from .demo import run_demo

    return partial(run_demo, serve=arguments.serve)


def _serve(arguments: argparse.Namespace) -> Callable[[], int]:
    from .serve import run_server

    return partial(run_server, arguments.config, host=arguments.host, port=arguments.port)
