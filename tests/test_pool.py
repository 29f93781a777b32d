"""User pools: from an id to the exact issuers and key places, and plain words for what cannot be right."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognito_guard import ConfigurationError, UserPool
from cognito_guard.pool import IssuerFormat, check_fetchable, dns_suffix, is_loopback

POOL_ID = "eu-west-1_AbCdEf123"
ORIGINAL = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
UPDATED = f"https://issuer-cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
EMULATOR = "http://localhost:9229/local_1qFA81RT"
JWKS = "/.well-known/jwks.json"


def mistake(user_pool_id: Any = POOL_ID, **options: Any) -> ConfigurationError:
    """Return the error that these settings are refused with."""
    with pytest.raises(ConfigurationError) as caught:
        UserPool.create(user_pool_id, **options)
    return caught.value


@pytest.mark.parametrize(
    "user_pool_id, suffix",
    [
        pytest.param("eu-west-1_AbCdEf123", "amazonaws.com", id="the commercial partition"),
        pytest.param("ap-southeast-12_AbCdEf123", "amazonaws.com", id="a Region number of two digits"),
        pytest.param("us-gov-west-1_AbCdEf123", "amazonaws.com", id="GovCloud"),
        pytest.param("eusc-de-east-1_AbCdEf123", "amazonaws.eu", id="the European Sovereign Cloud"),
        pytest.param("cn-north-1_AbCdEf123", "amazonaws.com.cn", id="China"),
    ],
)
def test_id_gives_both_issuers_of_its_partition(user_pool_id: str, suffix: str) -> None:
    """The Region is read from the id and the DNS suffix follows from the Region; the usual issuer comes first."""
    region = user_pool_id.rpartition("_")[0]
    pool = UserPool.create(user_pool_id)
    assert pool.user_pool_id == user_pool_id
    assert pool.issuers == (
        f"https://cognito-idp.{region}.{suffix}/{user_pool_id}",
        f"https://issuer-cognito-idp.{region}.{suffix}/{user_pool_id}",
    )
    assert pool.jwks_uris == {issuer: issuer + JWKS for issuer in pool.issuers}
    assert dns_suffix(region) == suffix


@pytest.mark.parametrize(
    "issuer_format, issuers",
    [
        pytest.param("original", (ORIGINAL,), id="the original form alone"),
        pytest.param("updated", (UPDATED,), id="the updated form alone"),
        pytest.param("both", (ORIGINAL, UPDATED), id="both forms"),
    ],
)
def test_issuer_format_pins_the_form(issuer_format: IssuerFormat, issuers: tuple[str, ...]) -> None:
    """A pool that has been switched, or never will be, may be pinned to the one form."""
    assert UserPool.create(POOL_ID, issuer_format=issuer_format).issuers == issuers


@pytest.mark.parametrize(
    "issuer_format, first",
    [
        pytest.param("both", (ORIGINAL, UPDATED), id="next to both forms"),
        pytest.param("original", (ORIGINAL,), id="next to the original form"),
    ],
)
def test_replica_signs_with_its_own_region_and_the_primary_id(
    issuer_format: IssuerFormat, first: tuple[str, ...]
) -> None:
    """In the original form the host names the replica's Region, the path the primary's; a repeated one counts once."""
    pool = UserPool.create(
        POOL_ID, issuer_format=issuer_format, replica_regions=["us-east-1", "eu-west-1", "us-east-1"]
    )
    assert pool.issuers == (*first, f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}")


def test_given_issuers_replace_the_derived_ones_byte_for_byte() -> None:
    """Emulators sign as anything; the id's Region is not read, and a trailing slash stays in the issuer alone."""
    pool = UserPool.create("local_1qFA81RT", issuer=(EMULATOR, "https://idp.example/pool/"), allow_insecure_http=True)
    assert pool.jwks_uris == {
        EMULATOR: EMULATOR + JWKS,
        "https://idp.example/pool/": "https://idp.example/pool" + JWKS,
    }


def test_jwks_uri_serves_every_issuer() -> None:
    """FIPS, PrivateLink: one place for the keys, whatever the issuer."""
    uri = "https://cognito-idp-fips.us-east-1.amazonaws.com/keys"
    pool = UserPool.create(POOL_ID, jwks_uri=uri)
    assert pool.jwks_uris == {ORIGINAL: uri, UPDATED: uri}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"static_keys": True}, id="the keys are given"),
        pytest.param({"jwks_uri": "https://keys.example/jwks.json"}, id="the keys are elsewhere"),
        pytest.param({"allow_insecure_http": True}, id="plain http from this machine is allowed"),
    ],
)
def test_plain_http_issuer_is_only_a_name_where_nothing_is_fetched_from_it(options: dict[str, Any]) -> None:
    """An issuer is compared, not trusted to be secure: only fetching keys needs https."""
    assert UserPool.create("local_1qFA81RT", issuer=[EMULATOR], **options).issuers == (EMULATOR,)


@pytest.mark.parametrize(
    "url, hint",
    [
        pytest.param(EMULATOR, "allow_insecure_http=True", id="loopback without leave"),
        pytest.param("http://keys.example/jwks.json", "loopback hosts only", id="another host"),
    ],
)
@pytest.mark.parametrize("setting", ["issuer", "jwks_uri"])
def test_plain_http_is_refused_for_keys(setting: str, url: str, hint: str) -> None:
    """Whoever can write into the connection could hand out keys of their own."""
    error = mistake(**{setting: [url] if setting == "issuer" else url})
    assert error.setting == setting
    assert hint in error.problem


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://keys.example/jwks.json", id="plain http beyond this machine"),
        pytest.param("http://localhost.example/jwks.json", id="a name that begins like this machine's"),
        pytest.param("http://169.254.169.254/latest", id="the metadata service"),
    ],
)
def test_leave_for_plain_http_ends_at_this_machine(url: str) -> None:
    """The flag never covers a host beyond loopback."""
    with pytest.raises(ConfigurationError, match="loopback hosts only"):
        check_fetchable("jwks_uri", url, allow_insecure_http=True)


@pytest.mark.parametrize("given", ["false", "true", 1, None])
def test_leave_for_plain_http_is_true_and_nothing_else(given: Any) -> None:
    """To Python the text "false" is true."""
    with pytest.raises(ConfigurationError, match="allow_insecure_http=True"):
        check_fetchable("jwks_uri", EMULATOR, allow_insecure_http=given)


def test_user_pool_can_be_a_key() -> None:
    """As every value that cannot be changed."""
    assert len({UserPool.create("eu-west-1_AbCdEf123"), UserPool.create("eu-west-1_AbCdEf123")}) == 1


@pytest.mark.parametrize(
    "host, expected",
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.4.2", True),
        ("::1", True),
        ("", False),
        ("0.0.0.0", False),  # noqa: S104 - not bound to
        ("10.0.0.1", False),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("2130706433", False),
    ],
)
def test_loopback_is_told_without_a_name_server(host: str, expected: bool) -> None:
    """Only literals and `localhost` count: what a name resolves to, others decide."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    "user_pool_id, hint",
    [
        pytest.param("", "got ''", id="nothing"),
        pytest.param("eu-west-1", "got 'eu-west-1'", id="a Region alone"),
        pytest.param("eu-west-1_", "got 'eu-west-1_'", id="nothing behind the Region"),
        pytest.param("eu-west-1_Abc-Def", "got", id="a dash in the last part"),
        pytest.param("eu-west-1_Abc/..", "got", id="a path"),
        pytest.param("eu-west-1_ÄbcDef", "got", id="a letter beyond ASCII"),
        pytest.param("eu-west-1_\u0661", "got", id="a digit beyond ASCII"),
        pytest.param(f"eu-west-1_{'A' * 46}", "got", id="one character too many"),
        pytest.param("arn:aws:cognito-idp:eu-west-1:1:userpool/eu-west-1_Abc", "ARN", id="an ARN"),
        pytest.param(ORIGINAL, "URL", id="an issuer"),
        pytest.param("eu-west-1:0b1d-4a", "identity pool", id="an identity pool"),
        pytest.param(f" {POOL_ID}", "white space", id="white space before"),
        pytest.param(f"{POOL_ID}\n", "white space", id="a line break behind"),
        pytest.param("local_1qFA81RT", "issuer=", id="an emulator's id without its issuer"),
        pytest.param("EU-WEST-1_AbCdEf123", "issuer=", id="an upper case Region"),
        pytest.param("eu-west-x_AbCdEf123", "issuer=", id="a Region without a number"),
        pytest.param(None, "NoneType", id="nothing set"),
        pytest.param(b"eu-west-1_Abc", "bytes", id="bytes"),
    ],
)
def test_impossible_pool_id_is_refused_with_a_hint(user_pool_id: Any, hint: str) -> None:
    """Each usual mistake is told in words that name its cure."""
    error = mistake(user_pool_id)
    assert error.setting == "user_pool_id"
    assert hint in error.problem


def test_pool_id_may_be_as_long_as_the_api_allows() -> None:
    """The limit itself is allowed: 55 characters, however they are shared out."""
    assert UserPool.create(f"eu-west-1_{'A' * 45}").user_pool_id.endswith("A")
    assert UserPool.create(f"{'a' * 44}_{'B' * 10}", issuer=["https://idp.example"]).issuers == ("https://idp.example",)
    assert mistake(f"{'a' * 54}_B", issuer=["https://idp.example"]).setting == "user_pool_id"


@pytest.mark.parametrize(
    "options, setting",
    [
        pytest.param({"issuer_format": "newest"}, "issuer_format", id="an unknown form"),
        pytest.param({"issuer_format": None}, "issuer_format", id="no form"),
        pytest.param({"issuer_format": ["both"]}, "issuer_format", id="a list of forms"),
        pytest.param(
            {"issuer_format": "updated", "replica_regions": ["us-east-1"]},
            "replica_regions",
            id="a replica where the issuer names none",
        ),
        pytest.param({"replica_regions": ["us-east"]}, "replica_regions", id="a replica's Region without a number"),
        pytest.param({"replica_regions": ["US-EAST-1"]}, "replica_regions", id="an upper case replica"),
        pytest.param({"replica_regions": [""]}, "replica_regions", id="an empty replica"),
        pytest.param({"replica_regions": ["cn-north-1"]}, "replica_regions", id="a replica in another partition"),
        pytest.param({"replica_regions": ["us-gov-west-1"]}, "replica_regions", id="a replica in another, like named"),
        pytest.param({"replica_regions": ["us-east-1.evil.example/"]}, "replica_regions", id="a replica with a host"),
        pytest.param({"replica_regions": ["us-east-1\n"]}, "replica_regions", id="a replica with a line break"),
        pytest.param(
            {"replica_regions": ["us-east-\u0661"]}, "replica_regions", id="a replica with a digit beyond ASCII"
        ),
        pytest.param({"issuer": [ORIGINAL], "issuer_format": "original"}, "issuer", id="an issuer and a form"),
        pytest.param({"issuer": [ORIGINAL], "replica_regions": ["us-east-1"]}, "issuer", id="an issuer and a replica"),
        pytest.param(
            {"issuer": ["https://shop.auth.eu-west-1.amazoncognito.com"]}, "issuer", id="a user pool domain as issuer"
        ),
        pytest.param({"issuer": [ORIGINAL + JWKS]}, "issuer", id="the key document as issuer"),
        pytest.param(
            {"issuer": ["ftp://idp.example/pool"], "static_keys": True},
            "issuer",
            id="another scheme, if only as a name",
        ),
        pytest.param(
            {"issuer": [ORIGINAL + "/.well-known/openid-configuration"], "static_keys": True},
            "issuer",
            id="the discovery document as issuer",
        ),
    ],
)
def test_settings_that_cannot_be_right_are_refused_by_name(options: dict[str, Any], setting: str) -> None:
    """The error names the setting that is to be changed."""
    assert mistake(**options).setting == setting


BAD_URLS = [
    pytest.param("", id="nothing"),
    pytest.param("keys.example/jwks.json", id="no scheme"),
    pytest.param("//keys.example/jwks.json", id="a relative one"),
    pytest.param("https:///jwks.json", id="no host"),
    pytest.param("file:///etc/jwks.json", id="a file"),
    pytest.param("ftp://keys.example/jwks.json", id="another scheme"),
    pytest.param("https://keys.example/jwks.json?v=1", id="a query"),
    pytest.param("https://keys.example/jwks.json?", id="an empty query"),
    pytest.param("https://keys.example/jwks.json#top", id="a fragment"),
    pytest.param("https://keys.example/jwks.json#", id="an empty fragment"),
    pytest.param("https://keys.example/a b", id="a blank"),
    pytest.param("https://keys.example/jwks.json\r\nX-Evil: 1", id="a header smuggled in"),
    pytest.param("https://keys.example/\tjwks.json", id="a tab"),
    pytest.param("https://käys.example/jwks.json", id="a letter beyond ASCII"),
    pytest.param("https://keys.example:0/jwks.json", id="port zero"),
    pytest.param("https://keys.example:99999/jwks.json", id="a port beyond the last"),
    pytest.param("https://keys.example:https/jwks.json", id="a port that is no number"),
    pytest.param("https://[::1/jwks.json", id="an open bracket"),
    pytest.param(5, id="a number"),
    pytest.param(b"https://keys.example/jwks.json", id="bytes"),
]


@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize("setting", ["issuer", "jwks_uri"])
def test_url_that_is_none_is_refused(setting: str, url: Any) -> None:
    """An absolute https URL and nothing else: what a request line could not carry is caught at the start."""
    error = mistake(**{setting: [url] if setting == "issuer" else url})
    assert error.setting == setting


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://user:hunter2secret@keys.example/", id="user and password"),
        pytest.param("https:/user:hunter2secret@keys.example/", id="user and password behind one slash"),
        pytest.param("user:hunter2secret@keys.example/", id="user and password without a scheme"),
        pytest.param("https://keys.example/jwks.json?api-key=hunter2secret", id="a key in the query"),
        pytest.param("https://user:hunter2secret", id="a password where a port belongs"),
        pytest.param("https://[hunter2secret]/x", id="a secret where an address belongs"),
    ],
)
@pytest.mark.parametrize("setting", ["issuer", "jwks_uri"])
def test_refused_url_is_not_shown_where_it_may_hold_a_secret(setting: str, url: str) -> None:
    """A mistake in the configuration ends up in a start-up log; a password must not."""
    error = mistake(**{setting: [url] if setting == "issuer" else url})
    assert "hunter2" not in f"{error} {error!r} {error.__cause__!r}"


def test_user_pool_cannot_be_changed() -> None:
    """One pool is shared by every request: neither it nor its table of issuers can be edited."""
    pool: Any = UserPool.create(POOL_ID)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pool.user_pool_id = "us-east-1_Other"
    with pytest.raises(TypeError):
        pool.jwks_uris["https://evil.example"] = "https://evil.example/keys"
    assert pool == UserPool.create(POOL_ID)


def made(user_pool_id: str, **options: Any) -> UserPool | str:
    """Return the pool, or the setting that is to blame."""
    try:
        return UserPool.create(user_pool_id, **options)
    except ConfigurationError as error:
        return error.setting


@settings(deadline=None, derandomize=True)
@given(st.text() | st.from_regex(r"[a-z]{2}-[a-z]{1,5}-\d_\w{0,9}", fullmatch=True))
def test_any_text_as_pool_id_gives_a_pool_or_a_configuration_error(text: str) -> None:
    """Where an id is accepted, its issuers are https URLs that end with it and stay below AWS's names."""
    pool = made(text)
    if isinstance(pool, str):
        assert pool == "user_pool_id"
        return
    for issuer in pool.issuers:
        host, _, path = issuer.removeprefix("https://").partition("/")
        assert path == text
        assert re.fullmatch(r"(issuer-)?cognito-idp\.[a-z0-9-]+\.amazonaws\.(com|eu|com\.cn)", host)


@settings(deadline=None, derandomize=True)
@given(st.text().map(lambda text: f"https://{text}") | st.text().map(lambda text: f"https://keys.example/{text}"))
def test_any_text_as_issuer_gives_a_pool_or_a_configuration_error(text: str) -> None:
    """Where an issuer is accepted, it is kept byte for byte, fits into a request line, and its keys lie below it."""
    pool = made("local_1qFA81RT", issuer=[text])
    if isinstance(pool, str):
        assert pool == "issuer"
        return
    assert pool.jwks_uris == {text: text.removesuffix("/") + JWKS}
    assert re.fullmatch(r"https://[!-~]+", text)
