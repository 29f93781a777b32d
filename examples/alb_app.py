"""
Trust the user that an Application Load Balancer has signed in, and nobody who only says so.

For a real one: replace `balancer.verifier(...)` by
`ALBVerifier("arn:aws:elasticloadbalancing:...", client_id="...", user_pool_id="eu-west-1_...")`.
"""

from flask import Flask, Response, g, request

from cognito_guard import RefusalError, challenge_for
from cognito_guard.testing import FakeLoadBalancer

balancer = FakeLoadBalancer()
# The access token is verified as well: it must be of the same user and client.
verifier = balancer.verifier(access_token_verifier=balancer.user_pool.verifier())
app = Flask(__name__)


@app.before_request
def authenticate() -> None:
    """Let nobody in whom the load balancer has not signed in."""
    g.caller = verifier.authenticate(request.headers)


@app.errorhandler(RefusalError)
def refuse(refusal: RefusalError) -> Response:
    """Say no to the client in the words of the RFCs, and to the log in ours."""
    print(f"refused: {refusal.reason}")
    challenge = challenge_for(refusal)
    return Response(challenge.body, challenge.status, dict(challenge.headers))


@app.get("/")
def greet() -> str:
    """Greet the user by name."""
    return f"hello {g.caller.claims['username']}"


if __name__ == "__main__":
    client = app.test_client()
    genuine = balancer.headers("jane")
    print(client.get("/", headers=genuine).text)
    # The header with the bare user id is signed by nobody.
    print(client.get("/", headers={"x-amzn-oidc-identity": genuine["x-amzn-oidc-identity"]}).status)
    # Another customer's load balancer, whose key lies next to ours.
    other = "arn:aws:elasticloadbalancing:eu-west-1:999999999999:loadbalancer/app/theirs/0123456789abcdef"
    print(client.get("/", headers=balancer.headers("jane", header={"signer": other})).status)
    # One user's data beside another user's access token.
    mixed = balancer.headers("joe") | {"x-amzn-oidc-data": genuine["x-amzn-oidc-data"]}
    print(client.get("/", headers=mixed).status)
