"""The door of the Model Context Protocol: the server of the examples, asked by the client of the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from .answers import INVALID_TOKEN, NO_CREDENTIALS, insufficient_scope
from .guarded_api import PATIENCE

EXAMPLE = Path(__file__).parents[2] / "examples" / "mcp_server.py"
METADATA = ', resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"'


@dataclass(slots=True)
class Call:
    """What came of a client's call of the tool: the tool's answer, if any, and the answers of the server."""

    answer: str | None = None
    statuses: list[int] = field(default_factory=list[int])
    challenges: list[str] = field(default_factory=list[str])


@pytest.fixture
def example() -> Any:
    """Return the example as a new module: its server runs once."""
    spec = spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calls(example: Any, credentials: Iterable[dict[str, str]]) -> list[Call]:
    """Call the tool with each of these headers, while the server runs."""

    async def run() -> list[Call]:
        async with example.mcp.session_manager.run():
            return [await call_tool(example, headers) for headers in credentials]

    return asyncio.run(run())


async def call_tool(example: Any, headers: dict[str, str]) -> Call:
    """Open a session, and call the tool."""
    call = Call()

    async def note(response: httpx2.Response) -> None:
        call.statuses.append(response.status_code)
        call.challenges += response.headers.get_list("WWW-Authenticate")

    hooks = {"response": [note]}
    transport = httpx2.ASGITransport(example.app)
    async with httpx2.AsyncClient(transport=transport, headers=headers, event_hooks=hooks, timeout=PATIENCE) as http:
        try:
            async with (
                streamable_http_client(example.URL, http_client=http) as streams,
                ClientSession(*streams[:2]) as session,
            ):
                await session.initialize()
                [content] = (await session.call_tool("add_order")).content
                call.answer = content.text if content.type == "text" else None
        except* Exception:
            # The SDK gives up in its own words: the server's answers are what counts.
            assert call.answer is None
    return call


def test_mcp_server(example: Any) -> None:
    """A token that is bound to this server opens it, and the tool to whom has its scope."""
    pool, here = example.pool, example.URL
    read, write = example.orders["read"], example.orders["write"]
    allowed = [[read, write], [read]]
    writer, reader = calls(example, [pool.headers(audience=here, scopes=scopes) for scopes in allowed])
    assert writer.answer == "added"
    assert reader.answer == f"Error executing tool add_order: needs the scope {write}"
    assert {*writer.statuses, *reader.statuses} == {200, 202}


def test_mcp_server_refuses_what_is_not_for_it(example: Any) -> None:
    """No other token gets further than the first request, and each client learns where the metadata is."""
    pool, scopes, elsewhere = example.pool, example.orders.scopes, "https://other.example.com/mcp"
    bad = [
        pool.id_token(),
        pool.access_token(scopes=scopes),
        pool.access_token(scopes=scopes, audience=elsewhere),
        pool.client_token(scopes=scopes),
        pool.refresh_token(),
    ]
    without_scope = pool.headers(audience=example.URL, scopes=[])
    *refused, denied = calls(example, [{}, *({"Authorization": f"Bearer {token}"} for token in bad), without_scope])
    more = f', scope="{example.orders["read"]}"{METADATA}'
    challenges = [NO_CREDENTIALS, *[INVALID_TOKEN] * len(bad)]
    assert refused == [Call(statuses=[401], challenges=[challenge + more]) for challenge in challenges]
    needed = f"{insufficient_scope(example.orders['read'])}{METADATA}"
    assert denied == Call(statuses=[403], challenges=[needed])
