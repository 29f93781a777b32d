"""Run the service that judges requests for a proxy."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigurationError
from ..forward_auth import ForwardAuth, from_file

try:
    import uvicorn
except ImportError as _cause:
    raise ImportError("serve needs uvicorn: pip install 'cognito-guard[serve]'") from _cause


def run_server(config: str | Path, *, host: str, port: int) -> int:
    """
    Serve until interrupted.

    Args:
        config: the path of a TOML file, as `cognito_guard.forward_auth.from_file` reads it.
        host: the address to listen at.
        port: 0 for one of the system's choice; the line that is printed names it.

    Returns:
        0 after an interrupt, 2 where the configuration can't be right.
    """
    try:
        app = from_file(config)
    except ConfigurationError as error:
        print(f"{config}: {error}", file=sys.stderr)
        return 2
    _log_to_stderr()
    _serve(app, host, port)
    return 0


def _serve(app: ForwardAuth, host: str, port: int) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            # An upgrade that a proxy forwards with its question is a question like any other.
            ws="none",
            # Nobody's word about itself is taken here but the one that the rules are about.
            proxy_headers=False,
            server_header=False,
        )
    )
    with server.config.bind_socket() as listener, suppress(KeyboardInterrupt):
        # Before the line that says so: whoever reads it may connect at once.
        listener.listen(server.config.backlog)
        address, bound = listener.getsockname()[:2]
        print(f"listening on {address} port {bound}", flush=True)
        server.run([listener])


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
