"""
A guarded FastAPI application: scopes, a group, a WebSocket, and sign-in on the docs page.

Runs against a local user pool.  For a real one: `verifier = CognitoVerifier.from_env()` and its own `domain`, then
`COGNITO_USER_POOL_ID=... COGNITO_CLIENT_ID=... uvicorn examples.fastapi_app:app`.
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Security, WebSocket

from cognito_guard import Principal, ResourceServer
from cognito_guard.fastapi import ChallengeError, CognitoBearer, challenge_response
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])
verifier = pool.verifier()
guard = CognitoBearer(verifier, domain="auth.example.com", scopes=orders)

Reader = Annotated[Principal, Security(guard, scopes=[orders["read"]])]
Admin = Annotated[Principal, Depends(guard.requires(orders["write"], groups="admins", max_age=300))]

app = FastAPI(
    swagger_ui_init_oauth=guard.swagger_ui_oauth(client_id=pool.client_id),
    exception_handlers={ChallengeError: challenge_response},
)


@app.get("/orders")
async def list_orders(reader: Reader) -> dict[str, object]:
    """Answer whoever may read orders, person or machine."""
    return {"orders": [], "caller": reader.subject, "machine": reader.is_machine}


@app.delete("/orders")
def delete_orders(admin: Admin) -> dict[str, str]:
    """Answer an administrator who may write and signed in within five minutes."""
    return {"deleted_by": admin.display_name}


@app.websocket("/feed")
async def feed(websocket: WebSocket, reader: Reader) -> None:
    """Greet over a WebSocket; who may not is refused in the handshake."""
    await websocket.accept()
    await websocket.send_text(f"hello {reader.display_name}")


if __name__ == "__main__":
    from fastapi.testclient import TestClient

    client = TestClient(app)
    jane = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/orders").status_code, client.get("/orders").headers["www-authenticate"])
    print(client.get("/orders", headers=jane).json()["machine"])
    print(client.delete("/orders", headers=jane).json())
    print(client.get("/openapi.json").json()["paths"]["/orders"]["delete"]["security"])
    with client.websocket_connect("/feed", headers=jane) as session:
        print(session.receive_text())
