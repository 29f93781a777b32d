"""
Verify tokens without a web framework: in a worker, a script, a queue consumer.

For a real pool: replace `pool.verifier()` by `CognitoVerifier("eu-west-1_...", client_id="...")`.
"""

from cognito_guard import InvalidTokenError, RefusalError, Requires, UnavailableError
from cognito_guard.testing import FakeUserPool

pool = FakeUserPool()
verifier = pool.verifier()
may_read = Requires(scopes=["orders/read"])


def handle(message: str, token: str) -> str:
    """Process a message on behalf of the caller whose token came with it."""
    try:
        principal = verifier.verify(token)
        verifier.authorize(principal, may_read)
    except UnavailableError as error:
        return f"{message}: again in {error.retry_after:.0f} s"
    except InvalidTokenError as error:
        return f"{message}: refused, {error.reason}"
    except RefusalError as error:
        return f"{message}: not allowed, {error.reason}"
    return f"{message}: done for {principal.display_name}"


if __name__ == "__main__":
    print(handle("first", pool.access_token(username="jane", scopes=["orders/read"])))
    print(handle("second", pool.access_token(username="joe", scopes=["orders/write"])))
    print(handle("third", pool.id_token()))
