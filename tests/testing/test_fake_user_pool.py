"""FakeUserPool: every token has the shape that Cognito gives its kind."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import jwt
import pytest

from cognito_guard.errors import CognitoGuardError, ConfigurationError
from cognito_guard.scopes import ResourceServer
from cognito_guard.testing import ABSENT, AppClient, FakeClock, FakeUserPool, PoolUser, TokenRequestError

NOW = 1_700_000_000
ORDERS = ResourceServer("orders", {"read": "Read orders", "write": "Change orders"})
SECRET = "only+for+tests+0123456789"
CALLBACK = "https://app.example/back"
CLERK, AUDITOR = "arn:aws:iam::123456789012:role/clerk", "arn:aws:iam::123456789012:role/auditor"


@pytest.fixture
def pool() -> FakeUserPool:
    return FakeUserPool(clock=FakeClock(NOW + 0.75))


def claims_of(pool: FakeUserPool, token: str) -> dict[str, Any]:
    """Let PyJWT verify the signature under the published key that the header names, and return the claims."""
    key = jwt.PyJWKSet.from_dict(pool.jwks)[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        options={"verify_exp": False, "verify_iat": False, "verify_aud": False, "verify_sub": False},
    )


def test_access_token_has_the_claims_of_an_sdk_sign_in(pool: FakeUserPool) -> None:
    """Exactly the documented claims with their documented types: no `aud`, no `version`, no empty groups."""
    claims = claims_of(pool, pool.access_token())
    ids = {name: claims.pop(name) for name in ("sub", "jti", "origin_jti", "event_id")}
    assert claims == {
        "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_FakePool1",
        "client_id": "1h57kf5cpq17m0eml12example",
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "auth_time": NOW,
        "iat": NOW,
        "exp": NOW + 3600,
        "username": "jane",
    }
    assert len(set(ids.values())) == 4
    assert all(str(UUID(value)) == value for value in ids.values())


def test_id_token_has_the_claims_of_an_sdk_sign_in(pool: FakeUserPool) -> None:
    """Exactly the documented claims: the client stands in `aud`, the name in `cognito:username`."""
    claims = claims_of(pool, pool.id_token(attributes={"tenant": 42, "beta": True}))
    ids = {name: claims.pop(name) for name in ("sub", "jti", "origin_jti", "event_id")}
    assert claims == {
        "iss": pool.issuer,
        "aud": "1h57kf5cpq17m0eml12example",
        "token_use": "id",
        "auth_time": NOW,
        "iat": NOW,
        "exp": NOW + 3600,
        "cognito:username": "jane",
        "email": "jane@example.com",
        "email_verified": True,
        "custom:tenant": "42",
        "custom:beta": "true",
    }
    assert len(set(ids.values())) == 4


def test_machine_token_has_the_claims_of_client_credentials() -> None:
    """A machine is its own subject and has neither name nor groups nor a session."""
    machine = AppClient(client_secret=SECRET, scopes=(ORDERS["read"],))
    pool = FakeUserPool(clients=[machine], resource_servers=[ORDERS], clock=FakeClock(NOW))
    claims = claims_of(pool, pool.client_token())
    assert UUID(claims.pop("jti"))
    assert claims == {
        "sub": machine.client_id,
        "client_id": machine.client_id,
        "iss": pool.issuer,
        "token_use": "access",
        "scope": "orders/read",
        "version": 2,
        "auth_time": NOW,
        "iat": NOW,
        "exp": NOW + 3600,
    }


def test_header_is_key_id_and_algorithm_alone(pool: FakeUserPool) -> None:
    """Cognito writes two header parameters and no `typ`."""
    header = jwt.get_unverified_header(pool.access_token())
    assert header == {"kid": pool.access_key.kid, "alg": "RS256"}


def test_id_and_access_tokens_are_signed_by_different_keys(pool: FakeUserPool) -> None:
    """Each kind has its own key, and both are published."""
    access, identity = (jwt.get_unverified_header(token)["kid"] for token in (pool.access_token(), pool.id_token()))
    assert access == pool.access_key.kid
    assert identity == pool.id_key.kid
    assert access != identity


def test_oauth_endpoint_tokens_are_marked(pool: FakeUserPool) -> None:
    """The managed login adds `version` to access tokens and `at_hash` to ID tokens."""
    assert claims_of(pool, pool.access_token(from_oauth_endpoint=True))["version"] == 2
    at_hash = claims_of(pool, pool.id_token(from_oauth_endpoint=True))["at_hash"]
    assert re.fullmatch(r"[\w-]{22}", at_hash)


def test_bound_token_carries_the_resource_as_audience(pool: FakeUserPool) -> None:
    """Resource binding is a matter of the managed login's access tokens."""
    claims = claims_of(pool, pool.bound_token("https://orders.example", scopes=["openid"]))
    assert claims["aud"] == "https://orders.example"
    assert claims["version"] == 2
    assert claims["scope"] == "openid"


def test_delegated_token_names_its_actor(pool: FakeUserPool) -> None:
    """The actor stands in `act`; the subject stays the user."""
    claims = claims_of(pool, pool.delegated_token("agent-7", username="joe"))
    assert claims["act"] == {"sub": "agent-7"}
    assert claims["sub"] == pool.subject("joe")


def test_groups_and_scopes_stand_as_cognito_writes_them(pool: FakeUserPool) -> None:
    """Scopes are one string, groups an array; either is left out when there is none."""
    claims = claims_of(pool, pool.access_token(scopes=["openid", "orders/read"], groups=("staff", "a,b")))
    assert claims["scope"] == "openid orders/read"
    assert claims["cognito:groups"] == ["staff", "a,b"]
    assert "scope" not in claims_of(pool, pool.access_token(scopes=()))
    assert claims_of(pool, pool.id_token(groups=["staff"]))["cognito:groups"] == ["staff"]


@pytest.mark.parametrize("name", ["scopes", "groups"])
def test_one_string_for_several_names_is_refused(pool: FakeUserPool, name: str) -> None:
    """A string is not quietly taken for its letters."""
    with pytest.raises(ConfigurationError, match=name):
        pool.headers(**{name: "orders/read"})


def test_named_arguments_reach_their_claims(pool: FakeUserPool) -> None:
    """Each argument sets the claim it is for."""
    token = pool.access_token(
        sub="s", username="joe", client_id="other", expires_in=-1, auth_time=NOW - 600.5, origin_jti="o", issuer="i"
    )
    claims = claims_of(pool, token)
    expected = {"sub": "s", "username": "joe", "client_id": "other", "exp": NOW - 1, "origin_jti": "o", "iss": "i"}
    assert {name: claims[name] for name in expected} == expected
    assert claims["auth_time"] == NOW - 601


@pytest.mark.parametrize("mint", [FakeUserPool.access_token, FakeUserPool.id_token, FakeUserPool.client_token])
def test_further_claims_are_added_and_win(pool: FakeUserPool, mint: Callable[..., str]) -> None:
    """A claim by its own name is taken as it is, whether the token has it anyway or not."""
    claims = claims_of(
        pool, mint(pool, **{"cognito:groups": [], "iat": 1.5, "tenant": {"id": None}, "aud": ["x", "y"]})
    )
    assert claims["cognito:groups"] == []
    assert claims["iat"] == 1.5
    assert claims["tenant"] == {"id": None}
    assert claims["aud"] == ["x", "y"]


@pytest.mark.parametrize(
    "claim",
    ["sub", "iss", "client_id", "origin_jti", "token_use", "scope", "auth_time", "exp", "iat", "jti", "username"],
)
def test_absent_claim_is_left_out(pool: FakeUserPool, claim: str) -> None:
    """ABSENT removes any claim, and only that one."""
    absent: dict[str, Any] = {claim: ABSENT}
    whole, rest = (claims_of(pool, token) for token in (pool.access_token(), pool.access_token(**absent)))
    assert whole.keys() - rest.keys() == {claim}


def test_absent_claims_of_an_id_token_are_left_out(pool: FakeUserPool) -> None:
    """An absent address takes its verification along."""
    claims = claims_of(pool, pool.id_token(email=ABSENT, username=ABSENT, client_id=ABSENT))
    assert not claims.keys() & {"email", "email_verified", "cognito:username", "aud"}


def test_header_parameters_are_added_replaced_and_left_out(pool: FakeUserPool) -> None:
    """The header can be bent as the claims can."""
    token = pool.access_token(header={"typ": "JWT", "kid": "elsewhere", "alg": ABSENT})
    assert token.split(".")[0] == _segment(b'{"kid":"elsewhere","typ":"JWT"}')


def test_foreign_key_signs_under_its_own_key_id(pool: FakeUserPool) -> None:
    """A key given is used and named."""
    other = FakeUserPool()
    token = pool.access_token(key=other.access_key)
    assert claims_of(other, token)["iss"] == pool.issuer


def test_raw_parts_are_signed_as_they_are(pool: FakeUserPool) -> None:
    """The way out for hostile tokens changes neither header nor payload."""
    token = pool.sign(b'{"alg":"RS256","alg":"none"}', b"not json", key=pool.id_key)
    header, payload, _ = token.split(".")
    assert (header, payload) == (_segment(b'{"alg":"RS256","alg":"none"}'), _segment(b"not json"))
    raw = jwt.PyJWS().decode(pool.sign({"alg": "RS256"}, b"x"), jwt.PyJWK(pool.access_key.jwk()), algorithms=["RS256"])
    assert raw == b"x"


def test_refresh_token_looks_encrypted(pool: FakeUserPool) -> None:
    """Five segments and the header of Cognito's refresh tokens."""
    token = pool.refresh_token()
    assert token.startswith("eyJjdHkiOiJKV1Qi")
    segments = token.split(".")
    assert len(segments) == 5
    assert json.loads(urlsafe_b64decode(segments[0] + "==")) == {"cty": "JWT", "enc": "A256GCM", "alg": "RSA-OAEP"}
    assert token != pool.refresh_token()


def test_two_pools_of_one_id_mint_the_same_ids_in_the_same_order() -> None:
    """Ids follow from the pool's id and from nothing else."""
    one, two = (FakeUserPool(clock=FakeClock()) for _ in range(2))
    for _ in range(3):
        assert claims_of(one, one.access_token()) == claims_of(two, two.access_token())
    assert one.refresh_token() == two.refresh_token()


def test_each_token_has_new_ids_and_each_user_one_subject(pool: FakeUserPool) -> None:
    """Token ids never repeat; the subject is the user's, in both kinds of token, and the pool's."""
    first, second = (claims_of(pool, token) for token in (pool.access_token(), pool.id_token()))
    assert first["sub"] == second["sub"] == pool.subject("jane")
    assert not {first[name] for name in ("jti", "event_id", "origin_jti")} & set(map(str, second.values()))
    assert pool.subject("joe") != pool.subject("jane") != FakeUserPool("eu-west-1_Other").subject("jane")


def test_headers_carry_a_bearer_token(pool: FakeUserPool) -> None:
    """Headers are for the token given, or for a new one with these options."""
    assert pool.headers("abc") == {"Authorization": "Bearer abc"}
    scheme, token = pool.headers(username="joe")["Authorization"].split(" ")
    assert scheme == "Bearer"
    assert claims_of(pool, token)["username"] == "joe"


@pytest.mark.parametrize(
    "user_pool_id, issuer_format, host",
    [
        ("eu-west-1_A1", "original", "cognito-idp.eu-west-1.amazonaws.com"),
        ("eu-west-1_A1", "updated", "issuer-cognito-idp.eu-west-1.amazonaws.com"),
        ("us-gov-west-1_A1", "original", "cognito-idp.us-gov-west-1.amazonaws.com"),
        ("eusc-de-east-1_A1", "original", "cognito-idp.eusc-de-east-1.amazonaws.eu"),
        ("cn-north-1_A1", "updated", "issuer-cognito-idp.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_issuer_follows_from_region_and_format(user_pool_id: str, issuer_format: Any, host: str) -> None:
    """The pool signs as the one issuer that AWS would give it."""
    assert FakeUserPool(user_pool_id, issuer_format=issuer_format).issuer == f"https://{host}/{user_pool_id}"


def test_given_issuer_is_taken_as_it_is() -> None:
    """An emulator's issuer needs no Region in the pool's id."""
    pool = FakeUserPool("local_A1", issuer="http://localhost:9229/local_A1")
    assert claims_of(pool, pool.access_token())["iss"] == pool.issuer == "http://localhost:9229/local_A1"


@pytest.mark.parametrize(
    "setting, options",
    [
        ("user_pool_id", {"user_pool_id": "no pool id"}),
        ("issuer_format", {"issuer_format": "both"}),
        ("client_id", {"client_id": "not a client id"}),
        ("clients", {"clients": [AppClient(client_id="a"), AppClient(client_id="a")]}),
        ("clients", {"clients": [AppClient(scopes=("orders/read",))]}),
        ("callback_urls", {"callback_urls": "https://app.example"}),
        ("callback_urls", {"callback_urls": ["/back"]}),
        ("logout_urls", {"logout_urls": ["http://app.example"]}),
        (
            "callback_urls",
            {"client_id": "a", "clients": [AppClient(client_id="a")], "logout_urls": ["https://a.example"]},
        ),
        ("users", {"users": {"": PoolUser()}}),
        ("users", {"users": {"jane doe": PoolUser()}}),
        ("users", {"users": {"jane\x00": PoolUser()}}),
        ("users", {"users": {"j" * 129: PoolUser()}}),
    ],
)
def test_wrong_setting_is_refused_by_name(setting: str, options: dict[str, Any]) -> None:
    """Each mistake is found at construction and says where it is."""
    with pytest.raises(ConfigurationError) as refusal:
        FakeUserPool(**options)
    assert refusal.value.setting == setting


def test_generated_client_ids_look_like_cognitos_and_differ() -> None:
    """A generated client ID has 26 lower-case letters and digits."""
    ids = {AppClient().client_id for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[0-9a-z]{26}", client_id) for client_id in ids)


@pytest.mark.parametrize(
    "setting, options",
    [
        ("client_id", {"client_id": ""}),
        ("client_secret", {"client_secret": "too short"}),
        ("client_secret", {"client_secret": "s" * 65}),
        ("scopes", {"scopes": "orders/read"}),
        ("flows", {"flows": "code"}),
        ("flows", {"flows": ["password"]}),
        ("callback_urls", {"callback_urls": "https://app.example"}),
    ],
)
def test_app_client_that_cognito_would_not_take_is_refused(setting: str, options: dict[str, Any]) -> None:
    """Ids and secrets follow Cognito's grammar."""
    with pytest.raises(ConfigurationError) as refusal:
        AppClient(**options)
    assert refusal.value.setting == setting


@pytest.mark.parametrize("setting", ["callback_urls", "logout_urls"])
@pytest.mark.parametrize(
    "url, is_good",
    [
        pytest.param("https://app.example", True, id="https"),
        pytest.param("https://app.example:8443/back?x=1", True, id="port, path and query"),
        pytest.param("http://localhost", True, id="loopback by name"),
        pytest.param("http://127.0.0.1:8000/docs/oauth2-redirect", True, id="loopback by number"),
        pytest.param("http://[::1]:8000/", True, id="loopback of IPv6"),
        pytest.param("myapp://back", True, id="an app's own scheme"),
        pytest.param("com.example.app:/back", True, id="an app's own scheme without a host"),
        pytest.param("http://app.example", False, id="plain http"),
        pytest.param("http://localhost.example", False, id="a look-alike of loopback"),
        pytest.param("https://", False, id="no host"),
        pytest.param("https:///back", False, id="no host but a path"),
        pytest.param("https://app.example/#x", False, id="a fragment"),
        pytest.param("https://app.example#", False, id="an empty fragment"),
        pytest.param("//app.example/back", False, id="no scheme"),
        pytest.param("app.example/back", False, id="neither scheme nor slashes"),
        pytest.param("", False, id="nothing"),
        pytest.param("https://app.example/a b", False, id="a space"),
        pytest.param("https://app.example/\r\nSet-Cookie: x", False, id="a line break"),
        pytest.param("https://app.example/ü", False, id="no ASCII"),
        pytest.param("http://[", False, id="no URL at all"),
    ],
)
def test_url_of_a_client_is_absolute_and_encrypted_or_local(setting: Any, url: str, is_good: bool) -> None:
    """Cognito takes absolute URLs without a fragment; http on loopback only, any scheme of an app's own."""
    options: dict[str, Any] = {setting: [url]}
    if is_good:
        assert getattr(AppClient(**options), setting) == (url,)
        return
    with pytest.raises(ConfigurationError) as refusal:
        AppClient(**options)
    assert refusal.value.setting == setting


def test_repr_shows_no_secret_and_no_password() -> None:
    """Neither ends in a log or in the output of a failed test."""
    assert SECRET not in repr(AppClient(client_id="a", client_secret=SECRET))
    assert "swordfish" not in repr(PoolUser(password="swordfish"))


@pytest.mark.parametrize("setting", ["groups", "roles"])
def test_one_string_for_several_names_of_a_user_is_refused(setting: str) -> None:
    """Here as elsewhere."""
    one: Any = {setting: "admins"}
    with pytest.raises(ConfigurationError) as refused:
        PoolUser(**one)
    assert refused.value.setting == setting


@pytest.mark.parametrize("roles", [(), (CLERK,)])
@pytest.mark.parametrize("preferred_role", [AUDITOR, ""])
def test_preferred_role_that_is_none_of_the_roles_is_refused(roles: tuple[str, ...], preferred_role: str) -> None:
    """Cognito prefers one of those that it names."""
    with pytest.raises(ConfigurationError) as refused:
        PoolUser(roles=roles, preferred_role=preferred_role)
    assert refused.value.setting == "preferred_role"


@pytest.mark.parametrize(
    "declared, expected",
    [
        pytest.param(
            PoolUser(roles=[CLERK, AUDITOR], preferred_role=AUDITOR),
            {"cognito:roles": [CLERK, AUDITOR], "cognito:preferred_role": AUDITOR},
            id="one preferred",
        ),
        pytest.param(PoolUser(roles=[CLERK, AUDITOR]), {"cognito:roles": [CLERK, AUDITOR]}, id="none preferred"),
        pytest.param(PoolUser(groups=["admins"]), {}, id="groups without roles"),
    ],
)
def test_roles_stand_in_id_tokens_alone(declared: PoolUser, expected: dict[str, object]) -> None:
    """However the token came about; no empty list and no null ever occurs."""
    pool = FakeUserPool(users={"jane": declared}, callback_urls=[CALLBACK])
    asked = {"client_id": pool.client_id, "response_type": "token", "scope": "openid email", "redirect_uri": CALLBACK}
    server = pool.authorization_server
    signed_in = server.sign_in(server.authorization_request(list(asked.items())), "jane")
    fragment = dict(parse_qsl(urlsplit(signed_in or "").fragment))
    for token, roles in (
        (pool.id_token(), expected),
        (fragment["id_token"], expected),
        (pool.access_token(), {}),
        (fragment["access_token"], {}),
        (pool.id_token(username="stranger"), {}),
    ):
        claims = claims_of(pool, token)
        assert {name: claims[name] for name in claims if "role" in name} == roles
    trigger: Any = {"cognito:roles": ["x"]}
    assert claims_of(pool, pool.id_token(**trigger))["cognito:roles"] == ["x"]


def test_tokens_of_a_declared_user_say_what_is_declared() -> None:
    """Groups, address and attributes, unless the test says otherwise."""
    declared = PoolUser(groups=["admins"], email="j@a.example", attributes={"tenant": 1})
    pool = FakeUserPool(users={"jane": declared, "joe": PoolUser(email=ABSENT), "ann": PoolUser()})
    identity = claims_of(pool, pool.id_token())
    assert (identity["email"], identity["custom:tenant"]) == ("j@a.example", "1")
    assert identity["cognito:groups"] == ["admins"]
    assert claims_of(pool, pool.access_token())["cognito:groups"] == ["admins"]
    other = claims_of(pool, pool.id_token(groups=(), email="x@a.example", attributes={}))
    assert other["email"] == "x@a.example"
    assert not other.keys() & {"custom:tenant", "cognito:groups"}
    assert "email" not in claims_of(pool, pool.id_token(username="joe"))
    assert claims_of(pool, pool.id_token(username="ann"))["email"] == "ann@example.com"
    assert "cognito:groups" not in claims_of(pool, pool.access_token(username="stranger"))


def test_users_are_jane_unless_declared() -> None:
    """So that anybody can sign in at once; what is declared can't be changed any more."""
    assert dict(FakeUserPool().users) == {"jane": PoolUser()}
    users = {"joe": PoolUser()}
    pool = FakeUserPool(users=users)
    users["ann"] = PoolUser()
    assert list(pool.users) == ["joe"]


def test_default_client_takes_the_pools_urls() -> None:
    """Where `clients` does not describe it."""
    pool = FakeUserPool(callback_urls=["https://a.example"], logout_urls=["https://b.example"])
    assert pool.clients[pool.client_id].callback_urls == ("https://a.example",)
    assert pool.clients[pool.client_id].logout_urls == ("https://b.example",)


def test_default_client_may_be_described() -> None:
    """An app client with the default's ID takes the place of the plain one."""
    described = AppClient(client_id="mine", client_secret=SECRET)
    assert dict(FakeUserPool(client_id="mine", clients=[described]).clients) == {"mine": described}
    plain = FakeUserPool(client_id="mine", resource_servers=ORDERS).clients["mine"]
    assert plain == AppClient(client_id="mine", scopes=("orders/read", "orders/write"))


def test_machine_token_of_the_default_client_has_every_declared_scope() -> None:
    """Where no client has a secret the default one stands in, with all it may be granted."""
    pool = FakeUserPool(resource_servers=[ORDERS], clock=FakeClock())
    assert claims_of(pool, pool.client_token())["scope"] == "orders/read orders/write"
    assert "scope" not in claims_of(pool, pool.client_token(scopes=()))


def test_wrong_client_credentials_are_refused_without_http_too() -> None:
    """The grant's rules are the pool's own."""
    pool = FakeUserPool(resource_servers=[ORDERS])
    with pytest.raises(TokenRequestError) as refusal:
        pool.client_credentials("unknown", SECRET)
    assert refusal.value.code == "invalid_client"


def test_verifier_accepts_every_kind_of_token(pool: FakeUserPool) -> None:
    """A verifier of the pool needs no network and no further setting."""
    verifier = pool.verifier()
    assert verifier.verify(pool.access_token(groups=["staff"])).username == "jane"
    assert verifier.verify(pool.client_token()).is_machine
    assert pool.verifier(token_use="id").verify(pool.id_token()).subject == pool.subject("jane")
    bound = pool.verifier(resource="https://orders.example").verify(pool.bound_token("https://orders.example"))
    assert bound.audience == ("https://orders.example",)


@pytest.mark.parametrize(
    "options", [{"issuer_format": "updated"}, {"issuer": "http://localhost:9229/eu-west-1_FakePool1"}]
)
def test_verifier_follows_the_pools_issuer(options: dict[str, Any]) -> None:
    """Whatever the pool signs as, its verifier accepts."""
    pool = FakeUserPool(**options)
    assert pool.verifier().verify(pool.access_token()).issuer == pool.issuer


def test_verifier_accepts_every_client_of_the_pool() -> None:
    """All app clients are known to the verifier, unless a test names its own."""
    other = AppClient()
    pool = FakeUserPool(clients=[other])
    token = pool.access_token(client_id=other.client_id)
    assert pool.verifier().verify(token).client_id == other.client_id
    with pytest.raises(CognitoGuardError):
        pool.verifier(client_id=pool.client_id).verify(token)


def test_verifier_refuses_another_pools_token(pool: FakeUserPool) -> None:
    """Same id, same issuer, same client: only the keys tell, and they do."""
    with pytest.raises(CognitoGuardError):
        pool.verifier().verify(FakeUserPool(clock=pool.clock).access_token())


def test_verifier_sees_a_rotation(pool: FakeUserPool) -> None:
    """The first token under a new key makes the verifier look again."""
    verifier = pool.verifier()
    verifier.verify(pool.access_token())
    pool.rotate()
    assert verifier.verify(pool.access_token()).username == "jane"


def test_verifier_with_given_keys_stays_with_them(pool: FakeUserPool) -> None:
    """An override wins: a fixed key set knows nothing of a rotation."""
    verifier = pool.verifier(jwks=pool.jwks)
    verifier.verify(pool.access_token())
    pool.rotate()
    with pytest.raises(CognitoGuardError):
        verifier.verify(pool.access_token())


def test_verifier_lives_by_the_pools_clock() -> None:
    """Moving the pool's clock ages its tokens."""
    clock = FakeClock()
    pool = FakeUserPool(clock=clock)
    verifier, token = pool.verifier(), pool.access_token()
    verifier.verify(token)
    clock.tick(3700)
    with pytest.raises(CognitoGuardError):
        verifier.verify(token)


def _segment(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
