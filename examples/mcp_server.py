"""
A guarded MCP server: tokens bound to it alone, metadata for its clients (RFC 9728), and a tool that needs a scope.

For a real pool: `CognitoVerifier.from_env(...)` in place of `pool.verifier(...)`.
"""

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from cognito_guard import ProtectedResource, RefusalError, Requires, ResourceServer
from cognito_guard.asgi import CognitoMiddleware
from cognito_guard.testing import FakeUserPool

URL = "https://mcp.example.com/mcp"
orders = ResourceServer(URL, {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])
verifier = pool.verifier(resource=URL, resource_binding="required")


class TokenVerifier:
    """Tell the SDK whose token the guard in front has let in, but not until when: it would allow no leeway."""

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            me = await verifier.averify(token.strip(" "))
        except RefusalError:
            return None
        granted, claims = sorted(verifier.granted_scopes(me)), dict(me.claims)
        return AccessToken(token=token, client_id=me.client_id, subject=me.subject, scopes=granted, claims=claims)


settings = {"issuer_url": pool.issuer, "resource_server_url": URL, "validate_token_resource": False}
mcp = MCPServer("orders", token_verifier=TokenVerifier(), auth=AuthSettings.model_validate(settings))


@mcp.tool()
async def add_order() -> str:
    """Add an order, for callers who may."""
    if (caller := get_access_token()) is None or orders["write"] not in caller.scopes:
        raise ToolError(f"needs the scope {orders['write']}")
    return "added"


api = mcp.streamable_http_app(stateless_http=True, json_response=True, host="mcp.example.com")
metadata = ProtectedResource(URL, authorization_servers=pool.issuer, scopes=orders)
app = CognitoMiddleware(api, verifier, metadata=metadata, requirement=Requires(scopes=orders["read"]))

if __name__ == "__main__":
    from starlette.testclient import TestClient

    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add_order"}}
    with TestClient(app) as client:
        print(client.get(metadata.path).json()["scopes_supported"], client.post("/mcp").status_code)
        for scopes in ([], [orders["read"]], orders.scopes):
            answer = client.post("/mcp", json=call, headers=pool.headers(audience=URL, scopes=scopes))
            print(answer.status_code, answer.headers.get("www-authenticate", answer.text))
