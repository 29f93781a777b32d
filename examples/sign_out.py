"""
Sign-out that counts at once: Cognito tells an API of none, and its tokens would be good until they expire.

For a real pool: replace `pool.verifier(...)` by `CognitoVerifier.from_env(...)`, and have the sign-out call RevokeToken
as well.  For several processes: examples/shared_revocations.
"""

from flask import Flask

from cognito_guard import CognitoVerifier, RevocationList
from cognito_guard.flask import CognitoGuard, current_principal
from cognito_guard.testing import FakeUserPool

pool = FakeUserPool()
signed_out = RevocationList()
verifier: CognitoVerifier = pool.verifier(revocations=signed_out)
app = Flask(__name__)
guard = CognitoGuard(app, verifier)


@app.get("/me")
@guard.require()
def me() -> str:
    """Greet the caller."""
    return f"hello {current_principal.display_name}"


@app.post("/sign-out")
@guard.require()
def sign_out() -> str:
    """End the caller's sign-in, with every token that goes back to it; other devices stay signed in."""
    if current_principal.origin_jti is None:  # an app client that has token revocation turned off
        signed_out.revoke_user(current_principal.user_pool_id, current_principal.subject)
    else:
        signed_out.revoke_session(current_principal.user_pool_id, current_principal.origin_jti)
    return "bye"


if __name__ == "__main__":
    client = app.test_client()
    here, elsewhere = pool.headers(), pool.headers()
    print(client.get("/me", headers=here).text)
    print(client.post("/sign-out", headers=here).text)
    print(client.get("/me", headers=here).status_code)
    print(client.get("/me", headers=elsewhere).text)
