"""
Every door through which a token, or what somebody says of one, reaches an application.

Each test sends good tokens of the emulator's user pool through one door, over real HTTP, and looks at whom the function
behind it sees; then it tries what must not get in there.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import httpx
import pytest
from concurrency import verdict

from cognito_guard import CognitoVerifier, Reason, RefreshSchedule, RefusalError, Requires
from cognito_guard.alb import ALBVerifier
from cognito_guard.forward_auth import VERIFY, ForwardAuth, Rule
from cognito_guard.identity_pool import IdentityPoolVerifier
from cognito_guard.testing import BalancerKey, FakeIdentityPool, FakeLoadBalancer, FakeUserPool

from .answers import INVALID_TOKEN, NO_CREDENTIALS, assert_answer, insufficient_scope
from .doors import Balancer, Door, IdentityPool, Site, http_authorizer, rest_authorizer
from .emulators import LOOPBACK, REGION, Emulator
from .guarded_api import PATIENCE, serve, settings_for, transactions
from .guards import Caller, member
from .oauth import sign_in_by_code
from .tokens import GROUP, USER, Tokens, claims_of

GET = ("GET", "transactions")
POST = ("POST", "transactions")
ME = ("GET", "me")
SCOPE = f"openid {transactions['get']}"
OTHER_SCHEME = (
    f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20150830/{REGION}/execute-api/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"
)
"""A request signed by AWS credentials: no bearer token, and not to be read as one."""
SCHEDULE = RefreshSchedule(deadline=PATIENCE)
NOBODY = (None, OTHER_SCHEME)

Call: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Visitors:
    """
    Who comes to the doors.

    Attributes:
        reader: a user who may read transactions, with an ID token and a refresh token.
        reading: how the reader must be seen.
        recorder: a machine that may record them.
        recording: how the machine must be seen.
        without_scope: a user's access token that grants nothing here.
        other_client: an access token of an app client that the API does not know, with the reader's scopes.
        other_pool: an access token of another user pool.
        of_identity_pool: what an identity pool gives for the ID token.
    """

    reader: Tokens
    reading: Caller
    recorder: str
    recording: Caller
    without_scope: str
    other_client: str
    other_pool: str
    of_identity_pool: str

    def forged(self) -> str:
        """Return the reader's token with the signature of another one."""
        return f"{self.reader.access.rpartition('.')[0]}.{self.without_scope.rpartition('.')[2]}"

    def strangers(self) -> Mapping[str, Reason]:
        """Return the tokens that no API for access tokens takes, and why."""
        return {
            self.reader.id: Reason.WRONG_TOKEN_USE,
            self.reader.refresh: Reason.WRONG_TOKEN_USE,
            self.other_client: Reason.WRONG_CLIENT,
            self.other_pool: Reason.WRONG_ISSUER,
            self.of_identity_pool: Reason.WRONG_ISSUER,
            self.forged(): Reason.INVALID_SIGNATURE,
        }


@pytest.fixture(scope="session")
def identity_pool(site: Site) -> IdentityPool:
    """Create an identity pool for the user pool's users, and guests."""
    return site.identity_pool()


@pytest.fixture(scope="session")
def visitors(ministack: Emulator, identity_pool: IdentityPool) -> Visitors:
    """Sign everybody in."""
    pool = ministack.pool
    reader = pool.sign_in_at_login_page(SCOPE)
    machine = pool.machine_client_id
    return Visitors(
        reader=reader,
        reading=member(pool, USER, scopes=SCOPE.split()),
        recorder=pool.machine_token(transactions["post"]),
        recording=Caller(subject=machine, client_id=machine, scopes=[transactions["post"]]),
        without_scope=pool.sign_in().access,
        other_client=sign_in_by_code(pool.endpoint, pool.other_client_id, SCOPE).access,
        other_pool=ministack.other_pool.sign_in_at_login_page(SCOPE).access,
        of_identity_pool=identity_pool.token(reader.id),
    )


@pytest.fixture(scope="session")
def told(site: Site) -> str:
    """Deploy the function that says who called."""
    return site.function("told")


@pytest.fixture(scope="session")
def guarded(site: Site) -> str:
    """Deploy the function that verifies tokens itself."""
    return site.function("guarded")


@pytest.fixture(scope="session")
def authorize_rest(site: Site) -> str:
    """Deploy the authorizer that answers with policies."""
    return site.function("authorize_rest")


@pytest.fixture
def verifier(ministack: Emulator) -> CognitoVerifier:
    """Return a verifier of the user pool's access tokens."""
    return CognitoVerifier.from_mapping(settings_for(ministack.pool), schedule=SCHEDULE)


def assert_told(response: httpx.Response, asserted_by: str, caller: Caller, token_use: str = "access") -> None:
    """Check whom the function behind the door was told of."""
    assert response.status_code == httpx.codes.OK
    assert response.json()["caller"] == asserted(asserted_by, caller, token_use)


def asserted(asserted_by: str, caller: Caller, token_use: str) -> dict[str, object]:
    """Return how somebody describes a caller."""
    seen = caller.seen(token_use)
    names = ("subject", "client_id", "username", "token_use", "scopes", "groups")
    return {"asserted_by": asserted_by, **{name: seen[name] for name in names}}


def statuses(door: Door, operation: tuple[str, str], credentials: Iterable[str | None]) -> set[int]:
    """Return what the door answers to these values of Authorization."""
    return {door.ask(*operation, value).status_code for value in credentials}


def bearers(tokens: Iterable[str]) -> list[str]:
    """Return the values of Authorization that carry these tokens."""
    return [f"Bearer {token}" for token in tokens]


# ministack starts a function anew that has raised: the second one sees few of those who get a 401.
@pytest.mark.parametrize("kind, refused", [("TOKEN", None), ("REQUEST", 2)], ids=["TOKEN", "REQUEST"])
def test_rest_api_with_lambda_authorizer(
    site: Site, authorize_rest: str, told: str, visitors: Visitors, kind: str, refused: int | None
) -> None:
    """The policy lets each caller do what its scopes allow, whatever was asked first; a bad token is a 401."""
    door = site.rest_api(told, "CUSTOM", rest_authorizer(authorize_rest, kind))
    reader, recorder = bearers([visitors.reader.access, visitors.recorder])
    assert_told(door.ask(*GET, reader), "authorizer", visitors.reading)
    assert_told(door.ask(*POST, recorder), "authorizer", visitors.recording)
    assert_told(door.ask(*ME, recorder), "authorizer", visitors.recording)
    assert statuses(door, POST, [reader, *bearers([visitors.without_scope])]) == {403}
    assert statuses(door, GET, [recorder, *bearers([visitors.without_scope])]) == {403}
    assert statuses(door, ME, [None, *bearers(visitors.strangers()), OTHER_SCHEME][:refused]) == {401}


def test_rest_api_with_lambda_authorizer_for_id_tokens(site: Site, told: str, visitors: Visitors) -> None:
    """An authorizer for ID tokens takes those alone."""
    authorizer = site.function("authorize_rest", "authorize_id_tokens", COGNITO_TOKEN_USE="id")
    door = site.rest_api(told, "CUSTOM", rest_authorizer(authorizer, "TOKEN"))
    assert_told(door.ask(*ME, f"Bearer {visitors.reader.id}"), "authorizer", visitors.reading, "id")
    assert statuses(door, ME, [None, *bearers([visitors.reader.access, visitors.reader.refresh])]) == {401}


def test_http_api_with_simple_lambda_authorizer(site: Site, told: str, visitors: Visitors) -> None:
    """The answer is yes or no for the whole API: 401 without Authorization, which ends there, and 403 for the rest."""
    authorizer = site.function("authorize_http")
    door = site.http_api(told, "CUSTOM", http_authorizer(authorizer, "2.0", EnableSimpleResponses=True))
    assert_told(door.ask(*GET, f"Bearer {visitors.reader.access}"), "authorizer", visitors.reading)
    assert_told(door.ask(*ME, f"Bearer {visitors.recorder}"), "authorizer", visitors.recording)
    assert statuses(door, ME, [None]) == {401}
    assert statuses(door, ME, [OTHER_SCHEME, *bearers([visitors.without_scope, *visitors.strangers()])]) == {403}


@pytest.mark.parametrize("payload_format", ["1.0", "2.0"])
def test_http_api_with_policies(
    site: Site, authorize_rest: str, told: str, visitors: Visitors, payload_format: str
) -> None:
    """Policies work in either format; what a REST API makes a 401 of is a 500 here, and nobody gets in."""
    door = site.http_api(told, "CUSTOM", http_authorizer(authorize_rest, payload_format))
    reader, recorder = bearers([visitors.reader.access, visitors.recorder])
    assert_told(door.ask(*GET, reader), "authorizer", visitors.reading)
    assert_told(door.ask(*POST, recorder), "authorizer", visitors.recording)
    assert statuses(door, POST, [reader, *bearers([visitors.without_scope])]) == {403}
    assert statuses(door, ME, [None]) == {401}
    assert statuses(door, ME, bearers([visitors.reader.id])) == {500}


def test_rest_api_with_user_pool_authorizer(site: Site, told: str, visitors: Visitors) -> None:
    """Whom API Gateway says it has verified is read right; a method with scopes is for access tokens."""
    door = site.rest_api(told, "COGNITO_USER_POOLS", site.user_pool_authorizer())
    reader, recorder, id_token = bearers([visitors.reader.access, visitors.recorder, visitors.reader.id])
    assert_told(door.ask(*GET, reader), "rest", visitors.reading)
    assert_told(door.ask(*POST, recorder), "rest", visitors.recording)
    assert_told(door.ask(*ME, id_token), "rest", visitors.reading, "id")
    assert_told(door.ask(*ME, visitors.reader.id), "rest", visitors.reading, "id")
    wrong = [visitors.other_pool, visitors.of_identity_pool, visitors.forged()]
    assert statuses(door, ME, [*NOBODY, *bearers(wrong)]) == {401}
    assert statuses(door, GET, [recorder, id_token]) == {401}


def test_user_pool_authorizer_lets_in_what_the_function_must_not(
    site: Site, told: str, guarded: str, visitors: Visitors
) -> None:
    """
    Another app client's token passes API Gateway: the function looks at what it is told, or verifies again.

    So does ministack's refresh token, which is a JWT; AWS's is none.
    """
    trusting, checking = (
        site.rest_api(function, "COGNITO_USER_POOLS", site.user_pool_authorizer()) for function in (told, guarded)
    )
    wrong = bearers([visitors.other_client, visitors.reader.refresh])
    seen = [trusting.ask(*ME, value).json()["caller"] for value in wrong]
    assert [caller["client_id"] for caller in seen] == [site.pool.other_client_id, site.pool.web_client_id]
    assert [caller["token_use"] for caller in seen] == ["access", "refresh"]
    assert checking.ask(*ME, f"Bearer {visitors.reader.access}").json()["subject"] == visitors.reading.subject
    for value in wrong:
        assert_answer(checking.ask(*ME, value), httpx.codes.UNAUTHORIZED, INVALID_TOKEN)


def test_http_api_with_jwt_authorizer(site: Site, told: str, visitors: Visitors) -> None:
    """Whom API Gateway says it has verified is read right; the client counts as audience, a missing scope is a 403."""
    door = site.http_api(told, "JWT", site.jwt_authorizer())
    reader, recorder, id_token = bearers([visitors.reader.access, visitors.recorder, visitors.reader.id])
    assert_told(door.ask(*GET, reader), "http", visitors.reading)
    assert_told(door.ask(*POST, recorder), "http", visitors.recording)
    assert_told(door.ask(*ME, id_token), "http", visitors.reading, "id")
    wrong = [visitors.other_client, visitors.other_pool, visitors.of_identity_pool, visitors.forged()]
    assert statuses(door, ME, [*NOBODY, *bearers(wrong)]) == {401}
    assert statuses(door, GET, [recorder, id_token]) == {403}
    refresh_token = door.ask(*ME, f"Bearer {visitors.reader.refresh}")
    assert refresh_token.json()["caller"]["token_use"] == "refresh"


def test_api_with_iam_authorization(site: Site, told: str, identity_pool: IdentityPool, visitors: Visitors) -> None:
    """A request signed with an identity's credentials shows the identity, and a user's `sub`; a guest has none."""
    door = site.rest_api(told, "AWS_IAM")

    def seen(id_token: str | None) -> dict[str, Any]:
        signed = signed_headers(f"{site.pool.endpoint}{door.url}/me", identity_pool.credentials(id_token))
        # Signed for one path, no good for another.
        assert door.ask(*GET, headers=signed).status_code == 403
        answer: dict[str, Any] = door.ask(*ME, headers=signed).raise_for_status().json()
        assert answer["caller"] is None
        identity: dict[str, Any] = answer["identity"]
        assert identity.pop("identity_pool_id") == identity_pool.identity_pool_id
        return identity

    member_id = identity_pool.identity_id(visitors.reader.id)
    user = {"user_pool_id": site.pool.user_pool_id, "subject": visitors.reading.subject}
    assert seen(visitors.reader.id) == {"identity_id": member_id, "is_authenticated": True, **user}
    guest = seen(None)
    assert guest.pop("identity_id") != member_id
    assert guest == {"is_authenticated": False, "user_pool_id": None, "subject": None}
    assert statuses(door, ME, [*NOBODY, *bearers([visitors.reader.access, visitors.reader.id])]) == {403}


def signed_headers(url: str, credentials: Mapping[str, str]) -> dict[str, str]:
    """Sign a GET request with AWS credentials (Signature Version 4)."""
    # Imported by name because the package carries no type information.
    auth, awsrequest, kept = (
        importlib.import_module(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")
    )
    request = awsrequest.AWSRequest("GET", url)
    keys = kept.Credentials(*(credentials[name] for name in ("AccessKeyId", "SecretKey", "SessionToken")))
    auth.SigV4Auth(keys, "execute-api", REGION).add_auth(request)
    return dict(request.headers)


def test_appsync_with_user_pool_authorization(site: Site, visitors: Visitors) -> None:
    """Whom AppSync says it has verified is read right, with its claims as they are in the token."""
    door = site.graphql_api(site.function("resolve"))
    reading = visitors.reading
    assert resolved(door, f"Bearer {visitors.reader.access}") == asserted("appsync", reading, "access")
    assert resolved(door, visitors.reader.id) == asserted("appsync", reading, "id")
    assert resolved(door, visitors.recorder)["groups"] == []
    # ministack reads what is a token in form alone; AWS would not have asked the function.
    assert resolved(door, "junk") is None
    assert door.http.post(f"{door.url}/graphql", json={"query": "{ me { subject } }"}).status_code == 401


def resolved(door: Door, authorization: str) -> Any:
    """Return whom the resolver of the GraphQL field saw."""
    query = "{ me { asserted_by subject client_id username token_use scopes groups } }"
    answer = door.http.post(f"{door.url}/graphql", json={"query": query}, headers={"Authorization": authorization})
    return answer.json()["data"]["me"]


OPEN_DOORS: Mapping[str, Callable[[Site, str], Door]] = {
    "REST API": lambda site, function: site.rest_api(function, "NONE"),
    "HTTP API": lambda site, function: site.http_api(function, "NONE"),
    "load balancer": Site.open_balancer,
}
"""Where nobody stands in front; a function URL is one more, at which ministack wants signatures that it knows."""


@pytest.mark.parametrize("opened", [*OPEN_DOORS.values(), Site.function_url], ids=[*OPEN_DOORS, "function URL"])
def test_guarded_function(
    site: Site, guarded: str, verifier: CognitoVerifier, visitors: Visitors, opened: Callable[[Site, str], Door]
) -> None:
    """Where nobody looks at the token before, the function does, and answers in the words of every adapter."""
    door = opened(site, guarded)
    seen = door.ask(*ME, f"Bearer {visitors.reader.access}").json()
    assert seen == {name: visitors.reading.seen("access")[name] for name in ("subject", "client_id", "scopes")}
    for token, reason in visitors.strangers().items():
        assert_answer(door.ask(*ME, f"Bearer {token}"), httpx.codes.UNAUTHORIZED, INVALID_TOKEN)
        assert verdict(verifier, token) is reason
    assert_answer(door.ask(*ME), httpx.codes.UNAUTHORIZED, NO_CREDENTIALS)


@pytest.mark.parametrize("opened", OPEN_DOORS.values(), ids=OPEN_DOORS)
def test_guarded_function_is_sent_a_signed_request(
    site: Site, guarded: str, opened: Callable[[Site, str], Door]
) -> None:
    """Credentials of another scheme are no bad token, but none at all."""
    assert_answer(opened(site, guarded).ask(*ME, OTHER_SCHEME), httpx.codes.UNAUTHORIZED, NO_CREDENTIALS)


def test_function_that_starts_with_keys_from_a_file(site: Site, visitors: Visitors) -> None:
    """A cold start without a way to the key endpoint: what the deployed file knows is all there is."""
    jwks = httpx.get(site.pool.jwks_uri, trust_env=False).content
    door = site.http_api(site.function("guarded", "offline", jwks=jwks), "NONE")
    seen = door.ask(*ME, f"Bearer {visitors.reader.access}").json()
    assert seen["subject"] == visitors.reading.subject
    # The right issuer and client, and a key that no file has.
    stranger = FakeUserPool(site.pool.user_pool_id, client_id=site.pool.web_client_id).access_token()
    for token in (stranger, *visitors.strangers()):
        assert_answer(door.ask(*ME, f"Bearer {token}"), httpx.codes.UNAUTHORIZED, INVALID_TOKEN)


def test_function_without_keys(site: Site, told: str, visitors: Visitors) -> None:
    """Out of reach of the keys, a function starts all the same: a 503 if it is guarded, a 500 of an authorizer."""
    with socket.socket() as nobody_listens:
        nobody_listens.bind((LOOPBACK, 0))
        away = f"http://{LOOPBACK}:{nobody_listens.getsockname()[1]}/jwks.json"
        guarded = site.function("guarded", "guarded_without_keys", COGNITO_JWKS_URI=away)
        authorizer = site.function("authorize_rest", "authorize_without_keys", COGNITO_JWKS_URI=away)
        reader = f"Bearer {visitors.reader.access}"
        unavailable = site.http_api(guarded, "NONE").ask(*ME, reader)
        assert_answer(unavailable, httpx.codes.SERVICE_UNAVAILABLE, None)
        assert int(unavailable.headers["Retry-After"]) > 0
        assert statuses(site.rest_api(told, "CUSTOM", rest_authorizer(authorizer, "TOKEN")), ME, [reader]) == {500}


ARN = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:loadbalancer/app/front/50dc6c495c0c9188"
IDENTITY, DATA, ACCESS_TOKEN = ("x-amzn-oidc-identity", "x-amzn-oidc-data", "x-amzn-oidc-accesstoken")


@pytest.fixture(scope="session")
def balancer(site: Site, told: str) -> Balancer:
    """Build a load balancer in front of the function that says who called."""
    return site.balancer(told)


def test_load_balancer(call: Call, site: Site, balancer: Balancer, visitors: Visitors) -> None:
    """
    A load balancer replaces what the client says of itself; what it says is believed of the configured one alone.

    ministack publishes no keys of its load balancers: a fake one signs in its place, for the genuine access token.
    """
    got = balancer.sign_in({IDENTITY: "forged", DATA: "forged", ACCESS_TOKEN: visitors.reader.access})
    assert got[IDENTITY] == visitors.reading.subject
    pool = FakeUserPool(site.pool.user_pool_id, client_id=balancer.client_id)
    fake = FakeLoadBalancer(pool, load_balancer_arn=ARN)
    settings = settings_for(site.pool) | {"client_id": balancer.client_id}
    tokens = CognitoVerifier.from_mapping(settings, schedule=SCHEDULE)
    with fake.serve() as keys:
        here: dict[str, Any] = {"public_keys_uri": keys.url, "allow_insecure_http": True, "schedule": SCHEDULE}
        verifier = ALBVerifier(
            ARN, client_id=balancer.client_id, issuer=site.pool.issuer, access_token_verifier=tokens, **here
        )

        def reason(headers: Mapping[str, str]) -> Reason:
            with pytest.raises(RefusalError) as refusal:
                call(verifier, "authenticate", headers)
            return refusal.value.reason

        genuine = {ACCESS_TOKEN: got[ACCESS_TOKEN], IDENTITY: "never read"}
        mine = genuine | {DATA: fake.data(USER, sub=visitors.reading.subject)}
        caller = call(verifier, "authenticate", mine)
        assert (caller.subject, caller.principal.username) == (visitors.reading.subject, USER)
        assert caller.principal.groups == {GROUP}
        assert reason({}) is Reason.MISSING_TOKEN
        assert reason(got) is Reason.WRONG_ISSUER
        assert reason({IDENTITY: visitors.reading.subject}) is Reason.MISSING_TOKEN
        assert reason(mine | {DATA: fake.data(key=BalancerKey.draw())}) is Reason.UNKNOWN_KEY
        assert reason(mine | {DATA: fake.data("joe")}) is Reason.CLAIM_MISMATCH
        assert reason(mine | {DATA: got[ACCESS_TOKEN]}) is Reason.UNSUPPORTED_ALGORITHM
        assert reason(mine | {ACCESS_TOKEN: visitors.reader.access}) is Reason.WRONG_CLIENT
        assert reason(mine | {ACCESS_TOKEN: visitors.reader.id}) is Reason.WRONG_TOKEN_USE
        assert reason(mine | {ACCESS_TOKEN: visitors.other_pool}) is Reason.WRONG_ISSUER


def test_load_balancer_lets_nobody_through_unauthenticated(balancer: Balancer, visitors: Visitors) -> None:
    """Headers alone open nothing: the client is sent to the login page."""
    forged = {IDENTITY: visitors.reading.subject, DATA: "forged", ACCESS_TOKEN: visitors.reader.access}
    answer = balancer.door.ask(*ME, f"Bearer {visitors.reader.access}", headers=forged)
    assert (answer.status_code, httpx.URL(answer.headers["Location"]).path) == (302, "/oauth2/authorize")


def test_identity_pool(call: Call, verifier: CognitoVerifier, identity_pool: IdentityPool, visitors: Visitors) -> None:
    """
    A token of an identity pool is good at its own verifier alone, and only for its own identity pool.

    ministack signs them in another way than AWS, under a key that it does not publish: those are refused, and a fake
    identity pool signs the very same claims.
    """
    pool_id = identity_pool.identity_pool_id
    fake = FakeIdentityPool(pool_id)
    # New ones: they last for ten minutes.
    genuine, guest = identity_pool.token(visitors.reader.id), identity_pool.token(None)
    signed, signed_guest = (fake.token(**claims_of(token)) for token in (genuine, guest))
    with fake.serve() as keys:
        here: dict[str, Any] = {"jwks_uri": f"{keys.url}/.well-known/jwks_uri", "allow_insecure_http": True}
        identities = IdentityPoolVerifier(pool_id, schedule=SCHEDULE, **here)
        everybody = IdentityPoolVerifier(pool_id, schedule=SCHEDULE, authenticated_only=False, **here)
        elsewhere = IdentityPoolVerifier(f"{REGION}:{pool_id[-36:][::-1]}", schedule=SCHEDULE, **here)

        def reason(judge: object, token: str) -> Reason:
            with pytest.raises(RefusalError) as refusal:
                call(judge, "verify", token)
            return refusal.value.reason

        assert call(identities, "verify", signed).subject == identity_pool.identity_id(visitors.reader.id)
        assert not call(everybody, "verify", signed_guest).is_authenticated
        assert reason(identities, signed_guest) is Reason.CLAIM_MISMATCH
        assert reason(elsewhere, signed) is Reason.WRONG_AUDIENCE
        for token in (genuine, guest, visitors.reader.access, visitors.reader.id, visitors.reader.refresh):
            assert reason(identities, token) is Reason.UNSUPPORTED_ALGORITHM
        assert reason(verifier, genuine) is Reason.WRONG_ISSUER
        assert reason(verifier, signed) is Reason.UNSUPPORTED_ALGORITHM


def test_forward_auth_as_traefik_asks(verifier: CognitoVerifier, visitors: Visitors) -> None:
    """Traefik's documented question: a GET, the client's own headers, and five of its own that tell the request."""
    rules = [
        Rule(path="/transactions", methods="GET", requirement=Requires(scopes=transactions["get"])),
        Rule(path="/transactions", methods="POST", requirement=Requires(scopes=transactions["post"])),
    ]
    guard = cast("Any", ForwardAuth(verifier, proxy="traefik", rules=rules))
    with serve(guard) as base_url, httpx.Client(base_url=base_url, trust_env=False, timeout=PATIENCE) as traefik:

        def ask(method: str, authorization: str | None, **more: str) -> httpx.Response:
            told = {"Method": method, "Proto": "https", "Host": "api.example.com", "For": "192.0.2.7"}
            headers = {f"X-Forwarded-{name}": value for name, value in {**told, "Uri": "/transactions?page=2"}.items()}
            sent = {} if authorization is None else {"Authorization": authorization}
            # Of the client's headers, all but those that speak of the connection.
            return traefik.get(VERIFY, headers={**headers, **sent, **more, "User-Agent": "client/1.0"})

        reader, recorder = bearers([visitors.reader.access, visitors.recorder])
        passed = ask("GET", reader, **{"X-Original-Method": "POST", "X-Auth-Subject": "forged"})
        assert passed.status_code == httpx.codes.OK
        assert (passed.headers["X-Auth-Subject"], passed.headers["X-Auth-Groups"]) == (visitors.reading.subject, GROUP)
        assert ask("POST", recorder).headers["X-Auth-Username"] == ""
        assert_answer(ask("POST", reader), httpx.codes.FORBIDDEN, insufficient_scope(transactions["post"]))
        for token in visitors.strangers():
            assert_answer(
                ask("GET", f"Bearer {token}"),
                httpx.codes.UNAUTHORIZED,
                f'{INVALID_TOKEN}, scope="{transactions["get"]}"',
            )
        for nobody in NOBODY:
            challenge = f'{NO_CREDENTIALS}, scope="{transactions["get"]}"'
            assert_answer(ask("GET", nobody), httpx.codes.UNAUTHORIZED, challenge)
        assert_answer(traefik.get(VERIFY, headers={"Authorization": reader}), httpx.codes.FORBIDDEN, None)
