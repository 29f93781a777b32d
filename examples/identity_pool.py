"""
Verify what GetOpenIdToken returns for an identity of an identity pool, and tell guests from those who signed in.

For a real one: replace `identities.verifier()` by `IdentityPoolVerifier("eu-west-1:...")`.
"""

from cognito_guard import InvalidTokenError, UnavailableError
from cognito_guard.identity_pool import IdentityPoolVerifier
from cognito_guard.testing import FakeIdentityPool

identities = FakeIdentityPool()
members = identities.verifier()
everybody = identities.verifier(authenticated_only=False)


def enter(verifier: IdentityPoolVerifier, token: str) -> str:
    """Let somebody in, or say why not."""
    try:
        caller = verifier.verify(token)
    except UnavailableError as error:
        return f"again in {error.retry_after:.0f} s"
    except InvalidTokenError as error:
        return f"refused: {error.reason}"
    return f"{'member' if caller.is_authenticated else 'guest'} {caller.subject[:18]}"


if __name__ == "__main__":
    print(enter(members, identities.token("jane")))
    print(enter(members, identities.guest_token()))
    print(enter(everybody, identities.guest_token()))
    # Signed with the same keys by the same issuer, as the identity pools of every AWS customer are.
    print(enter(members, identities.token("jane", aud="eu-west-1:00000000-0000-4000-8000-000000000000")))
