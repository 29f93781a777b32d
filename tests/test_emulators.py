"""Presets for emulators: which issuer their tokens name, and where their keys are."""

from __future__ import annotations

from typing import Any

import pytest

from cognito_guard import CognitoVerifier, ConfigurationError

POOL = "us-east-1_AbCdEf123"
AWS = (
    f"https://cognito-idp.us-east-1.amazonaws.com/{POOL}",
    f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL}",
)


def verifier_for(emulator: Any, endpoint: Any = "http://localhost:4566", pool: str = POOL, **more: Any) -> Any:
    return CognitoVerifier.for_emulator(emulator, endpoint, pool, **{"client_id": "web", **more})


@pytest.mark.parametrize("emulator", ["ministack", "moto"])
def test_emulator_that_signs_as_aws_does_keeps_its_issuers(emulator: str) -> None:
    """The keys alone are elsewhere."""
    pool = verifier_for(emulator).user_pool
    assert pool.jwks_uris == dict.fromkeys(AWS, f"http://localhost:4566/{POOL}/.well-known/jwks.json")


@pytest.mark.parametrize("emulator", ["cognito-local", "floci", "localemu", "magnito"])
def test_emulator_that_names_itself_is_its_own_issuer(emulator: str) -> None:
    """Pool ids need no Region there; a slash behind the endpoint changes nothing."""
    pool = verifier_for(emulator, "http://127.0.0.1:9229/", "local_1qFA81RT").user_pool
    issuer = "http://127.0.0.1:9229/local_1qFA81RT"
    assert pool.jwks_uris == {issuer: f"{issuer}/.well-known/jwks.json"}


def test_localstack_names_itself_by_its_own_host() -> None:
    """Whether clients use that host or not, the keys are fetched from the endpoint."""
    pool = verifier_for("localstack").user_pool
    assert pool.issuers == (f"http://localhost:4566/{POOL}", f"http://localhost.localstack.cloud:4566/{POOL}")
    assert set(pool.jwks_uris.values()) == {f"http://localhost:4566/{POOL}/.well-known/jwks.json"}
    assert verifier_for("localstack", "https://localhost").user_pool.issuers[1].endswith(f".cloud/{POOL}")


def test_arguments_win_over_the_preset() -> None:
    """For a set-up that differs from the usual one."""
    pool = verifier_for("moto", issuer="http://localhost:4566/x").user_pool
    assert pool.issuers == ("http://localhost:4566/x",)


@pytest.mark.parametrize(
    "arguments, setting",
    [
        pytest.param(("motto",), "emulator", id="an emulator nobody knows"),
        pytest.param((["moto"],), "emulator", id="a list"),
        pytest.param(("moto", None), "endpoint", id="no endpoint"),
        pytest.param(("moto", "localhost:4566"), "endpoint", id="no URL"),
        pytest.param(("moto", "http://10.0.0.5:4566"), "endpoint", id="plain http to another machine"),
        pytest.param(("localstack", "http://localhost:port"), "endpoint", id="a port that is none"),
        pytest.param(("moto", "http://localhost:4566", "no pool"), "user_pool_id", id="no pool id"),
    ],
)
def test_preset_that_can_not_be_right_is_a_mistake(arguments: tuple[Any, ...], setting: str) -> None:
    """Told at construction, by name."""
    with pytest.raises(ConfigurationError) as caught:
        verifier_for(*arguments)
    assert caught.value.setting == setting
