"""
A guarded Flask API: a scope, a group for a whole blueprint, an optional caller, and a list of what is public.

Runs against a local user pool.  For a real one: `guard = CognitoGuard()`, `app.config.from_prefixed_env()` before
`guard.init_app(app)`, then `FLASK_COGNITO_USER_POOL_ID=... FLASK_COGNITO_CLIENT_ID=... flask --app ... run`.
"""

from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue

from cognito_guard import ResourceServer
from cognito_guard.flask import CognitoGuard, current_principal, principal_or_none
from cognito_guard.testing import FakeUserPool

orders = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
pool = FakeUserPool(resource_servers=[orders])
guard = CognitoGuard(verifier=pool.verifier())

admin = Blueprint("admin", __name__, url_prefix="/admin")
guard.protect(admin, groups=["admins"])


@admin.get("/report")
def report() -> ResponseReturnValue:
    """Answer administrators; the blueprint sees to that."""
    return {"report": [], "caller": current_principal.display_name}


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    guard.init_app(app)
    app.register_blueprint(admin)

    @app.get("/orders")
    @guard.require(orders["read"])
    async def list_orders() -> ResponseReturnValue:
        """Answer whoever may read orders, person or machine."""
        return {"orders": [], "caller": current_principal.display_name, "machine": current_principal.is_machine}

    @app.get("/")
    @guard.optional
    def home() -> ResponseReturnValue:
        """Greet the caller by name where there is one."""
        principal = principal_or_none()
        return f"hello {principal.display_name if principal else 'stranger'}"

    return app


if __name__ == "__main__":
    client = create_app().test_client()
    print("public:", guard.unguarded(client.application))
    reader = pool.headers(username="jane", scopes=[orders["read"]])
    print(client.get("/").text, "/", client.get("/", headers=reader).text)
    print(client.get("/orders").status_code, client.get("/orders").headers["WWW-Authenticate"])
    print(client.get("/orders", headers=reader).json)
    print(client.get("/admin/report", headers=reader).status_code)
    print(client.get("/admin/report", headers=pool.headers(username="joe", groups=["admins"])).json)
