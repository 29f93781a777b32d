"""Settings: one or several, mappings and environment variables become arguments, and typos become plain words."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest

from cognito_guard import ANY_CLIENT, CognitoVerifier, ConfigurationError
from cognito_guard.settings import arguments_from_env, arguments_from_mapping, check_seconds, several

POOL_ID = "eu-west-1_AbCdEf123"
REQUIRED = {"user_pool_id": POOL_ID, "client_id": "client"}
ENVIRON = {"COGNITO_USER_POOL_ID": POOL_ID, "COGNITO_CLIENT_ID": "client"}
PARAMETERS = list(inspect.signature(CognitoVerifier).parameters)


def mistake(call: Callable[..., object], *args: Any, **kwargs: Any) -> ConfigurationError:
    """Return the error that a call is refused with."""
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize(
    "given, values",
    [
        pytest.param("a", ("a",), id="one string"),
        pytest.param(["a", "b"], ("a", "b"), id="a list"),
        pytest.param(("b", "a", "b"), ("b", "a", "b"), id="a tuple, in its order"),
        pytest.param((name for name in "ab"), ("a", "b"), id="a generator"),
        pytest.param([], (), id="none"),
        pytest.param("https://api.example/a,b c", ("https://api.example/a,b c",), id="a comma and a blank inside"),
    ],
)
def test_one_string_or_several_become_a_tuple(given: Any, values: tuple[str, ...]) -> None:
    """A lone string is never taken apart into its letters."""
    assert several("resource", given) == values


@pytest.mark.parametrize(
    "given, words",
    [
        pytest.param("", "empty", id="an empty string"),
        pytest.param(["a", ""], "empty", id="an empty string among others"),
        pytest.param(" a", "white space", id="a blank before"),
        pytest.param(["a\n"], "white space", id="a line break behind"),
        pytest.param("\u2003", "white space", id="nothing but white space"),
        pytest.param(None, "NoneType", id="nothing"),
        pytest.param(5, "int", id="a number"),
        pytest.param(["a", None], "NoneType", id="nothing among others"),
        pytest.param([["a"]], "list", id="a list in a list"),
        pytest.param(b"a", "int", id="bytes"),
        pytest.param(ANY_CLIENT, "AnyClient", id="a constant of another setting"),
    ],
)
def test_what_is_no_string_is_refused_by_its_setting(given: Any, words: str) -> None:
    """An unset variable becomes an error at the start and not a value that matches nothing."""
    error = mistake(several, "resource", given)
    assert error.setting == "resource"
    assert words in error.problem


@pytest.mark.parametrize(
    "seconds, bounds",
    [
        pytest.param(0, {}, id="zero"),
        pytest.param(0.001, {"above_zero": True}, id="a little above zero"),
        pytest.param(300, {"at_most": 300.0}, id="on the upper bound"),
        pytest.param(1e300, {}, id="ages, where no bound is set"),
    ],
)
def test_finite_seconds_within_the_bounds_are_taken(seconds: float, bounds: dict[str, Any]) -> None:
    """The bounds themselves are within, but for a zero that is excluded."""
    check_seconds("leeway", seconds, **bounds)


@pytest.mark.parametrize(
    "seconds, bounds, problem",
    [
        pytest.param(-0.001, {}, "a finite number of seconds, 0 or more", id="less than zero"),
        pytest.param(0, {"above_zero": True}, "a finite number of seconds, more than 0", id="an excluded zero"),
        pytest.param(301, {"at_most": 300.0}, "a finite number of seconds, from 0 to 300", id="above the upper bound"),
        pytest.param(-1, {"at_most": 300.0}, "a finite number of seconds, from 0 to 300", id="below both bounds"),
        pytest.param(
            0,
            {"at_most": 300.0, "above_zero": True},
            "a finite number of seconds, above 0 to 300",
            id="zero of two bounds",
        ),
        pytest.param(math.nan, {}, "a finite number of seconds, 0 or more", id="not a number"),
        pytest.param(math.inf, {}, "a finite number of seconds, 0 or more", id="without end"),
        pytest.param(10**400, {}, "a finite number of seconds, 0 or more", id="beyond any float"),
        pytest.param(True, {}, "a number of seconds, 0 or more, got bool", id="true"),
        pytest.param("5", {"above_zero": True}, "a number of seconds, more than 0, got str", id="text"),
        pytest.param(None, {"at_most": 300.0}, "a number of seconds, from 0 to 300, got NoneType", id="nothing"),
    ],
)
def test_seconds_beyond_the_bounds_are_refused_by_their_setting(
    seconds: object, bounds: dict[str, Any], problem: str
) -> None:
    """With what was expected, in words; the value is named by its type alone."""
    error = mistake(check_seconds, "leeway", seconds, **bounds)
    assert (error.setting, error.problem) == ("leeway", f"expected {problem}")


@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("name", PARAMETERS)
def test_mapping_knows_each_argument_of_the_verifier(name: str, spelling: Callable[[str], str]) -> None:
    """In any case; the value is passed on as it is."""
    value = object()
    settings: dict[str, Any] = {**REQUIRED, name: value}
    arguments = arguments_from_mapping({spelling(key): value for key, value in settings.items()})
    assert arguments == settings
    assert arguments[name] is value


@pytest.mark.parametrize(
    "name, words",
    [
        pytest.param("CLIENT_IDS", "did you mean 'client_id'?", id="a plural"),
        pytest.param("userpool_id", "did you mean 'user_pool_id'?", id="a lost underscore"),
        pytest.param("LEEWAYS", "did you mean 'leeway'?", id="one letter more"),
        pytest.param("verify_signature", "known are ", id="a switch that does not exist"),
        pytest.param("", "known are ", id="nothing"),
    ],
)
def test_unknown_key_is_refused_with_a_hint(name: str, words: str) -> None:
    """A typo must not leave a default in place unseen; the key is named as it was written."""
    error = mistake(arguments_from_mapping, {**REQUIRED, name: "x"})
    assert error.setting == name
    assert words in error.problem


def test_hint_lists_the_arguments_and_no_other() -> None:
    """What it names can be used."""
    error = mistake(arguments_from_mapping, {"zzz": 1})
    assert sorted(error.problem.partition("known are ")[2].split(", ")) == sorted(PARAMETERS)


@pytest.mark.parametrize("missing", REQUIRED)
def test_required_setting_that_is_missing_is_named(missing: str) -> None:
    """In a mapping by the argument's name, in the environment by the variable's; an empty variable is an unset one."""
    settings = {name: value for name, value in REQUIRED.items() if name != missing}
    assert mistake(arguments_from_mapping, settings).setting == missing
    variable = f"COGNITO_{missing.upper()}"
    for environ in ({name: value for name, value in ENVIRON.items() if name != variable}, {**ENVIRON, variable: " "}):
        error = mistake(arguments_from_env, environ)
        assert error.setting == variable
        assert "required" in error.problem


def test_same_setting_in_two_spellings_is_refused() -> None:
    """Which of them counts must not depend on their order."""
    assert mistake(arguments_from_mapping, {**REQUIRED, "CLIENT_ID": "other"}).setting == "CLIENT_ID"


@pytest.mark.parametrize("key", [5, None, ("client_id",)])
def test_key_that_is_no_string_is_refused(key: Any) -> None:
    """A mapping out of a file may hold any key."""
    mistake(arguments_from_mapping, {**REQUIRED, key: "x"})


@pytest.mark.parametrize(
    "variable, text, argument",
    [
        pytest.param("COGNITO_ISSUER_FORMAT", "original", "original", id="a word"),
        pytest.param("COGNITO_ISSUER_FORMAT", " original\n", "original", id="a word with white space around"),
        pytest.param("COGNITO_JWKS_URI", "https://keys.example/", "https://keys.example/", id="a URI"),
        pytest.param("COGNITO_RESOURCE_BINDING", "required", "required", id="a binding"),
        pytest.param("COGNITO_TOKEN_USE", "id", ["id"], id="one of several"),
        pytest.param("COGNITO_RESOURCE", "a, b ,,c,", ["a", "b", "c"], id="several with commas and blanks"),
        pytest.param(
            "COGNITO_REPLICA_REGIONS", "us-east-1,us-west-2", ["us-east-1", "us-west-2"], id="several Regions"
        ),
        pytest.param("COGNITO_REQUIRED_SCOPES", "api/read", ["api/read"], id="a scope"),
        pytest.param("COGNITO_ISSUER", "http://localhost:9229/x", ["http://localhost:9229/x"], id="an issuer"),
        pytest.param("COGNITO_LEEWAY", "2.5", 2.5, id="seconds"),
        pytest.param("COGNITO_MAX_TOKEN_AGE", "600", 600.0, id="whole seconds"),
        pytest.param("COGNITO_MAX_TOKEN_LIFETIME", "1e3", 1000.0, id="seconds with an exponent"),
        *(
            pytest.param(
                "COGNITO_ALLOW_INSECURE_HTTP", text, text.lower() in ("1", "true", "yes"), id=f"the flag {text}"
            )
            for text in ("1", "true", "True", "YES", "0", "false", "FALSE", "no")
        ),
    ],
)
def test_environment_variable_becomes_its_argument(variable: str, text: str, argument: object) -> None:
    """Text becomes what the argument takes; several are separated by commas."""
    arguments = arguments_from_env({**ENVIRON, variable: text, "COGNITO_OTHER": "x", "LEEWAY": "99"})
    name = variable.removeprefix("COGNITO_").lower()
    assert arguments == {"user_pool_id": POOL_ID, "client_id": ["client"], name: argument}


@pytest.mark.parametrize(
    "variable, text, words",
    [
        pytest.param("COGNITO_LEEWAY", "ten", "number of seconds", id="seconds in words"),
        pytest.param("COGNITO_MAX_TOKEN_AGE", "10s", "number of seconds", id="seconds with a unit"),
        pytest.param("COGNITO_MAX_TOKEN_LIFETIME", "1,5", "number of seconds", id="seconds with a comma"),
        pytest.param("COGNITO_ALLOW_INSECURE_HTTP", "on", "true or false", id="another word for yes"),
        pytest.param("COGNITO_ALLOW_INSECURE_HTTP", "2", "true or false", id="a number for yes"),
        pytest.param("COGNITO_TOKEN_CACHE_SIZE", "many", "whole number", id="a word for a number"),
        pytest.param("COGNITO_TOKEN_CACHE_SIZE", "-1", "whole number", id="a number with a sign"),
        pytest.param("COGNITO_TOKEN_CACHE_SIZE", "1_000", "whole number", id="a number as Python writes it"),
        pytest.param("COGNITO_MAX_TOKEN_BYTES", "١٢", "whole number", id="digits of another script"),
        pytest.param("COGNITO_REQUIRED_SCOPES", ",", "at least one", id="several that are none"),
        pytest.param("COGNITO_CLIENT_ID", " , ,", "at least one", id="clients that are none"),
    ],
)
def test_variable_of_the_wrong_form_is_refused_by_its_own_name(variable: str, text: str, words: str) -> None:
    """Whoever sets variables looks for a variable; a flag that is in doubt is not taken for either."""
    error = mistake(arguments_from_env, {**ENVIRON, variable: text})
    assert error.setting == variable
    assert words in error.problem
    assert text not in error.problem


@pytest.mark.parametrize(
    "variable, meant",
    [
        pytest.param("COGNITO_LEWAY", "COGNITO_LEEWAY", id="a letter left out"),
        pytest.param("COGNITO_REQUIRED_SCOPE", "COGNITO_REQUIRED_SCOPES", id="one for several"),
        pytest.param("COGNITO_MAX_TOKENAGE", "COGNITO_MAX_TOKEN_AGE", id="words run together"),
        pytest.param("COGNITO_JWKS_URL", "COGNITO_JWKS_URI", id="another word"),
    ],
)
def test_misspelt_variable_is_refused_with_a_hint(variable: str, meant: str) -> None:
    """A check that is left out in silence protects nobody."""
    error = mistake(arguments_from_env, {**ENVIRON, variable: "1"})
    assert (error.setting, error.problem) == (variable, f"no such setting; did you mean {meant}?")


@pytest.mark.parametrize(
    "variable",
    [
        *(
            "COGNITO_DOMAIN",
            "COGNITO_REGION",
            "COGNITO_USER_POOL_ARN",
            "COGNITO_CLIENT_SECRET",
            "COGNITO_APP_CLIENT_ID",
        ),
        *("COGNITO_CLIENT_IDS", "COGNITO_IDENTITY_POOL_ID", "cognito_leway", "MY_COGNITO_LEWAY"),
    ],
)
def test_variable_of_somebody_else_is_left_alone(variable: str) -> None:
    """Others use the prefix too; and what resembles a setting that is there is no misspelling of it."""
    assert arguments_from_env({**ENVIRON, variable: "x"}) == arguments_from_env(ENVIRON)


@pytest.mark.parametrize(
    "name, text",
    [
        pytest.param("USER_POOL_ID", "eu-west-1", id="no user pool"),
        pytest.param("CLIENT_ID", "https://example.com", id="a URL for a client"),
        pytest.param("TOKEN_USE", "refresh", id="another use"),
        pytest.param("LEEWAY", "301", id="a leeway that turns expiry off"),
        pytest.param("MAX_TOKEN_BYTES", "0", id="no byte"),
        pytest.param("REQUIRED_SCOPES", 'a"b', id="no scope"),
        pytest.param("JWKS_URI", "http://keys.test/", id="plain http"),
    ],
)
def test_value_that_can_not_be_right_is_named_as_its_variable(name: str, text: str) -> None:
    """Whoever reads it looks for it in the environment; what code gave is named as in code."""
    variable, argument = f"COGNITO_{name}", name.lower()
    error = mistake(CognitoVerifier.from_env, environ={**ENVIRON, variable: text})
    assert error.setting == variable
    assert str(error).startswith(f"{variable}: ")
    value: Any = int(text) if text.isdigit() else text
    assert mistake(CognitoVerifier.from_env, environ=ENVIRON, **{argument: value}).setting == argument


def test_no_variable_stands_in_a_signature() -> None:
    """`help()` and generated documentation print defaults: the environment holds secrets."""
    assert str(inspect.signature(CognitoVerifier.from_env).parameters["environ"].default) == "None"


def test_what_only_code_can_say_has_no_variable() -> None:
    """Documents, objects and functions; nothing of the kind is read out of text."""
    code = {"implies", "jwks", "revocations", "schedule", "fetch", "clock", "timer"}
    environ = {f"COGNITO_{name.upper()}": "1" for name in PARAMETERS}
    assert set(PARAMETERS) - set(arguments_from_env(environ)) == code


def test_verifier_is_made_from_a_mapping_or_the_environment() -> None:
    """Arguments win over both, and the real environment is the default one."""
    pinned = {**REQUIRED, "ISSUER_FORMAT": "updated", "LEEWAY": 5}
    issuer = f"https://issuer-cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
    assert CognitoVerifier.from_mapping(pinned).user_pool.issuers == (issuer,)
    assert len(CognitoVerifier.from_mapping(pinned, issuer_format="both").user_pool.issuers) == 2
    environ = {**ENVIRON, "COGNITO_ISSUER_FORMAT": "updated", "COGNITO_TOKEN_USE": "access,id"}
    assert CognitoVerifier.from_env(environ=environ).user_pool.issuers == (issuer,)
    assert len(CognitoVerifier.from_env(environ=environ, issuer_format="both").user_pool.issuers) == 2


def test_environment_is_the_process_environment_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read when it is asked for, not at import."""
    for variable, value in ENVIRON.items():
        monkeypatch.setenv(variable, value)
    assert CognitoVerifier.from_env().user_pool.user_pool_id == POOL_ID


def test_argument_may_stand_in_for_a_required_setting() -> None:
    """ANY_CLIENT can only be said in code: a mapping or an environment without a client must do then."""
    options: dict[str, Any] = {"client_id": ANY_CLIENT, "required_scopes": "api/read"}
    verifiers = [
        CognitoVerifier.from_mapping({"USER_POOL_ID": POOL_ID}, **options),
        CognitoVerifier.from_env(environ={"COGNITO_USER_POOL_ID": POOL_ID}, **options),
    ]
    assert {verifier.user_pool.user_pool_id for verifier in verifiers} == {POOL_ID}


def test_value_is_judged_where_it_is_used() -> None:
    """The forms are right, the value is not: the verifier says so, by the argument's name."""
    assert mistake(CognitoVerifier.from_mapping, {**REQUIRED, "TOKEN_USE": "refresh"}).setting == "token_use"
