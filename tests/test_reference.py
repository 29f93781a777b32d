"""docs/reference says what the code does: every table is compared with it, and every block runs."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from inspect import Parameter
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias, cast

import pytest
from test_secrecy import refused

from adapters.django_settings import AUTHENTICATION, COGNITO  # isort: skip - configures Django
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.test import RequestFactory, override_settings
from flask import Flask

import cognito_guard
from cognito_guard import (
    Actor,
    CognitoVerifier,
    ConfigurationError,
    HTTPSFetch,
    Principal,
    ProtectedResource,
    Reason,
    RefreshSchedule,
    RefusalError,
    Requirement,
    Requires,
    RevocationList,
    Verifier,
    asgi,
    awslambda,
    challenge_for,
    cookie,
    flask,
    header,
    starlette,
    testing,
    wsgi,
)
from cognito_guard.alb import ALBVerifier
from cognito_guard.challenge import WEBSOCKET_POLICY_VIOLATION
from cognito_guard.django import conf
from cognito_guard.django.caller import enter
from cognito_guard.fastapi import CognitoBearer
from cognito_guard.flask.config import verifier_from
from cognito_guard.forksafe import ForkSafe
from cognito_guard.forward_auth import ForwardAuth, IdentityHeaders, Rule
from cognito_guard.forward_auth.rules import check_rules, rule_for
from cognito_guard.guard import Guard, GuardOptions
from cognito_guard.identity_pool import IdentityPoolVerifier
from cognito_guard.settings import arguments_from_env, arguments_from_mapping
from cognito_guard.testing import FakeClock, FakeIdentityPool, FakeUserPool, PoolUser

Row: TypeAlias = dict[str, str]

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
TEXT = "\n".join(page.read_text() for page in PAGES)
NOTHING = "-"
REQUIRED = "required"
"""Stands in a table for the default of an argument that has none."""

ARGUMENTS: Mapping[str, Callable[..., object]] = {
    "settings": CognitoVerifier,
    "schedule": RefreshSchedule,
    "fetch": HTTPSFetch,
    "requires": Requires,
    "identity_pool_settings": IdentityPoolVerifier,
    "alb_settings": ALBVerifier,
    "metadata": ProtectedResource,
    "fake_user_pool": FakeUserPool,
    "revocations": RevocationList,
}
"""Tables of arguments, and whose they are."""
NAMES = (
    *("asgi", "starlette", "fastapi", "fastapi.testing", "wsgi", "flask", "django", "django.resolvers", "drf"),
    *("awslambda", "alb", "identity_pool", "forward_auth"),
)
"""Modules all of whose public names stand in a table."""
OTHERS = (
    *("verifier", "principal", "actor", "operators", "resource_server", "reasons", "options", "takers", "extractors"),
    *("adapters", "django_settings", "django_checks", "testing", "fake_user_pool_members", "revocations_members"),
)
"""Tables that have a test of their own."""

DEFAULTS: Mapping[str, object] = {
    "time.time": time.time,
    "time.monotonic": time.monotonic,
    "os.environ": os.environ,
    "RefreshSchedule()": RefreshSchedule(),
    "RefreshSchedule(cooldown=1.0, burst=10)": RefreshSchedule(cooldown=1.0, burst=10),
    "(header(),)": (header(),),
    "flat_context": awslambda.flat_context,
    "IdentityHeaders()": IdentityHeaders(),
    "{'jane': PoolUser()}": {"jane": PoolUser()},
}
"""Values that are no literals, as `ast.unparse` spells them."""


# What stands in the pages


def table(mark: str) -> list[Row]:
    """Return the rows of the table below a mark, its cells by the names of their columns."""
    lines = TEXT.partition(f"<!-- {mark} -->\n")[2].partition("\n\n")[0].splitlines()
    head, _, *rows = map(_cells, lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [cell.strip().replace(r"\|", "|") for cell in cells]


def spans(cell: str) -> list[str]:
    """Return what stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def column(mark: str, name: str) -> list[str]:
    """Return all that stands as code in a column."""
    return [span for row in table(mark) for span in spans(row[name])]


def value_of(text: str) -> object:
    """Return the value that a table or a written call has."""
    spelt = ast.unparse(ast.parse(text, mode="eval"))
    return DEFAULTS[spelt] if spelt in DEFAULTS else ast.literal_eval(text)


def same(one: Any, other: Any) -> bool:
    """Tell whether two defaults are one."""
    return bool(one == other) or (one.__class__ is tuple and list(map(_maker, one)) == list(map(_maker, other)))


def _maker(extractor: object) -> object:
    """Return the name of an extractor's maker, which makes another function each time."""
    return getattr(extractor, "__qualname__", extractor)


# What stands in the code


def parameters_of(target: Callable[..., object], *, is_method: bool = False) -> dict[str, Parameter]:
    """Return the parameters that a caller gives."""
    found = list(inspect.signature(target).parameters.items())
    return dict(found[1:] if is_method else found)


def written(call: str) -> Iterator[tuple[str, str, str | None]]:
    """Return name, kind and default of each parameter in a written call: `f(a, *, b=1)`."""
    definition = ast.parse(f"def call({call.partition('(')[2]}: ...").body[0]
    assert isinstance(definition, ast.FunctionDef)
    given = definition.args
    defaults = [None] * (len(given.args) - len(given.defaults)) + [ast.unparse(each) for each in given.defaults]
    yield from ((each.arg, "positional or keyword", text) for each, text in zip(given.args, defaults, strict=True))
    if given.vararg:
        yield given.vararg.arg, "variadic positional", None
    for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield each.arg, "keyword-only", None if default is None else ast.unparse(default)
    if given.kwarg:
        yield given.kwarg.arg, "variadic keyword", None


def differences(call: str, target: Callable[..., object], *, is_method: bool = False) -> list[str]:
    """Return the parameters of which a written call says something else than the code."""
    real = parameters_of(target, is_method=is_method)
    told = {name: (kind, default) for name, kind, default in written(call)}
    if list(real) != list(told):
        return [f"{call}: {list(real)}"]
    return [
        f"{call}: {parameter}"
        for name, parameter in real.items()
        if told[name][0] != parameter.kind.description or not _is_default(told[name][1], parameter)
    ]


def _is_default(text: str | None, parameter: Parameter) -> bool:
    if text is None or parameter.default is Parameter.empty:
        return text is None and parameter.default is Parameter.empty
    return same(value_of(text), parameter.default)


def public_members(owner: object) -> set[str]:
    """Return the names of all attributes but private ones, and what only a fork calls."""
    return {name for name in dir(owner) if not name.startswith("_")} - set(vars(ForkSafe))


def exported(module: ModuleType) -> set[str]:
    """Return the names that a module promises."""
    return set(module.__all__)


def is_constructed(value: object) -> bool:
    """Tell whether users call it with arguments: all but what only we make, and what they only catch or read."""
    if inspect.isfunction(value):
        return True
    return inspect.isclass(value) and "__init__" in vars(value) and not is_dataclass(value)


# All tables, blocks and links


def test_every_table_is_compared_with_the_code() -> None:
    """Each stands below a mark, and each mark belongs to a test of this module."""
    marks = re.findall(r"<!-- (\w+) -->\n\| ", TEXT)
    assert sorted(marks) == sorted([*ARGUMENTS, *(name.replace(".", "_") for name in NAMES), *OTHERS])
    assert len(re.findall(r"^\|(?:---\|)+$", TEXT, re.MULTILINE)) == len(marks)


@pytest.mark.parametrize("mark", [*ARGUMENTS, *OTHERS])
def test_no_cell_is_empty(mark: str) -> None:
    """What does not apply is a dash."""
    assert [row for row in table(mark) if not all(row.values())] == []


BLOCKS = [
    pytest.param(block, id=f"{page.stem} {number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL), 1)
]


def run(script: str) -> None:
    """Run a script in a process of its own, where warnings are errors."""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block_of_the_reference_runs(block: str) -> None:
    """As it stands, and its assertions hold."""
    run(block)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading in it."""
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", page.read_text())
    assert links
    for path, anchor in links:
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), path
        assert not anchor or anchor in _anchors(target), anchor


# Verifiers, principals


@pytest.mark.parametrize("mark", ARGUMENTS)
def test_arguments_are_those_of_the_code(mark: str) -> None:
    """Each argument is listed with its default, in the constructor's order, and none is made up."""
    parameters = parameters_of(ARGUMENTS[mark])
    rows = {spans(row["argument"])[0]: row["default"] for row in table(mark)}
    assert list(rows) == list(parameters)
    for name, told in rows.items():
        default = parameters[name].default
        assert told == REQUIRED if default is Parameter.empty else same(value_of(told.strip("`")), default), name


def test_environment_variables_are_those_that_are_read() -> None:
    """A dash stands where code alone can say it: such a variable has no effect."""
    needed = {"COGNITO_USER_POOL_ID": "eu-west-1_AbCdEf123", "COGNITO_CLIENT_ID": "web"}
    for row in table("settings"):
        argument, told = row["argument"].strip("`"), row["environment"]
        variable = f"COGNITO_{argument.upper()}"
        read = arguments_from_env(needed | {variable: "1"})
        assert told == (f"`{variable}`" if argument in read else NOTHING)
    mentioned = set(re.findall(r"COGNITO_[A-Z]\w+", TEXT))
    assert mentioned <= {"COGNITO_GUARD", *(f"COGNITO_{key}" for key in column("settings", "Django"))}


def test_keys_of_django_and_flask_are_those_that_are_known() -> None:
    """The Django key as it is, and in Flask's configuration with its prefix."""
    assert column("settings", "Django") == [name.upper() for name in parameters_of(CognitoVerifier)]
    known = {"USER_POOL_ID": "eu-west-1_AbCdEf123", "CLIENT_ID": "web"}
    for key in column("settings", "Django"):
        assert key.lower() in arguments_from_mapping(known | {key: object()})
        entries = {f"COGNITO_{name}": value for name, value in (known | {key: object()}).items()}
        # It may well find fault with the value.
        assert "no such setting" not in problem_of(verifier_from, entries)


def problem_of(call: Callable[..., object], *args: object) -> str:
    """Return what a call finds wrong with a configuration, or nothing."""
    try:
        call(*args)
    except ConfigurationError as error:
        return error.problem
    return ""


def test_verifier_offers_what_is_listed() -> None:
    """Each public member with its parameters; what verifiers of several pools lack is marked."""
    listed: dict[str, Row] = {}
    for row in table("verifier"):
        for span in spans(row["name"]):
            listed[span.partition("(")[0]] = row
            if "(" in span:
                target = inspect.getattr_static(CognitoVerifier, span.partition("(")[0])
                bound = getattr(CognitoVerifier, span.partition("(")[0])
                assert differences(span, bound, is_method=inspect.isfunction(target)) == []
    assert set(listed) == public_members(CognitoVerifier)
    of_one_pool = {name for name, row in listed.items() if "(one pool)" in row["what it is"]}
    makers = {span.partition("(")[0] for row in table("verifier")[:5] for span in spans(row["name"])}
    assert of_one_pool | makers == public_members(CognitoVerifier) - public_members(Verifier)


RESOURCE = "https://api.example.com"
MORE: Mapping[str, Any] = {"acr": "urn:two-factors", "amr": ["pwd", "mfa"], "act": {"sub": "agent"}, "scope": "a/b c/d"}
"""Claims that only some tokens have."""


def callers(pool: FakeUserPool, clock: FakeClock) -> dict[str, tuple[Principal, ...]]:
    """Return for each kind of token a principal whose every claim has a value of its own, and a plain one."""
    asked: dict[str, Any] = {"groups": ["staff", "admins"], "auth_time": clock() - 60}
    tokens = {
        "access token": (pool.access_token(audience=RESOURCE, **asked, **MORE), pool.access_token()),
        "ID token": (pool.id_token(**asked, **MORE), pool.id_token()),
        "machine token": (
            pool.client_token(auth_time=int(clock() - 60), scopes=["a/b", "c/d"]),
            pool.client_token(),
        ),
    }
    verifier = pool.verifier(token_use=["access", "id"], resource=RESOURCE)
    return {kind: tuple(map(verifier.verify, minted)) for kind, minted in tokens.items()}


def _shows(shown: Any, claim: Any) -> bool:
    if isinstance(shown, Actor):
        return bool(shown.claims == claim)
    if isinstance(shown, frozenset | tuple):
        return set(cast("Iterable[str]", shown)) == set(claim.split() if isinstance(claim, str) else claim)
    return bool(shown == claim)


def _keeps_word(principal: Principal, shown: Any, word: str) -> bool:
    if word == "empty":
        return shown in (frozenset(), ())
    words = {"all": principal.claims, "configured": principal.user_pool_id, "None": None, "True": True, "False": False}
    return bool(shown == words[word])


@pytest.mark.parametrize("kind", ["access token", "ID token", "machine token"])
def test_principal_shows_the_claims_that_are_listed(kind: str, pool: FakeUserPool, clock: FakeClock) -> None:
    """A cell names the claim whose value is shown, or says what is always there."""
    full, plain = callers(pool, clock)[kind]
    for row in table("principal"):
        name, cell = row["attribute"].strip("`"), row[kind]
        if claims := spans(cell):
            assert _shows(getattr(full, name), full.claims[claims[0]]), name
        else:
            assert _keeps_word(full, getattr(full, name), cell), name
        if claims and claims[0] not in plain.claims:
            assert getattr(plain, name) in (None, frozenset(), ()), name


def test_attributes_are_those_of_the_code() -> None:
    """Each of Principal and Actor, with its type as it is annotated."""
    annotated = {
        name: inspect.get_annotations(cast("Any", member.fget))["return"]
        for name, member in vars(Principal).items()
        if isinstance(member, property)
    }
    assert set(annotated) == public_members(Principal)
    assert {row["attribute"].strip("`"): row["type"].strip("`") for row in table("principal")} == annotated
    assert [(row["attribute"].strip("`"), row["type"].strip("`")) for row in table("actor")] == [
        (each.name, each.type) for each in fields(Actor)
    ]


# Requirements, refusals

DEMANDS: Mapping[str, object] = {
    "scopes": "orders/write",
    "any_scopes": "orders/write",
    "groups": "admins",
    "any_groups": "admins",
    "max_age": 0,
    "acr": "urn:two-factors",
    "client_id": "another",
    "actor": "agent",
    "claims": {"tenant": "acme"},
    "predicate": id,
}
"""What a plain caller does not meet."""


def _refusal(verifier: CognitoVerifier, principal: Principal, requirement: Requirement) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        verifier.authorize(principal, requirement)
    return caught.value


def test_unmet_requirement_is_refused_as_listed(pool: FakeUserPool, clock: FakeClock) -> None:
    """Each argument with its reason and status."""
    verifier = pool.verifier()
    principal = verifier.verify(pool.access_token())
    clock.tick(1)
    for row in table("requires"):
        argument = row["argument"].strip("`")
        demand: dict[str, Any] = {argument: DEMANDS[argument]}
        error = _refusal(verifier, principal, Requires(**demand))
        assert (row["reason"], row["status"]) == (f"`{error.reason}`", str(challenge_for(error).status))


def test_requirements_are_composed_as_listed(pool: FakeUserPool) -> None:
    """Each operator, by who meets it and by whose refusal it tells."""
    verifier = pool.verifier()
    principal = verifier.verify(pool.access_token())
    met, grave, light = Requires(), Requires(groups="admins"), Requires(scopes="orders/write")
    composed: dict[str, tuple[list[Requirement], Requirement, Reason]] = {
        "a & b": ([met & met], grave & light, Reason.GROUP_REQUIRED),
        "a | b": ([met | grave, light | met], grave | light, Reason.INSUFFICIENT_SCOPE),
        "~a": ([~grave, ~light], ~met, Reason.EXCLUDED),
    }
    assert column("operators", "expression") == list(composed)
    operators = {
        name for name in vars(Requirement) if name in ("__and__", "__or__", "__invert__", "__xor__", "__sub__")
    }
    assert len(operators) == len(composed)
    for good, bad, reason in composed.values():
        for requirement in good:
            verifier.authorize(principal, requirement)
        assert _refusal(verifier, principal, bad).reason is reason


def test_resource_server_is_as_listed() -> None:
    """Each expression has the value beside it."""
    (declared, head), *_ = [list(row) for row in table("resource_server")]
    assert head == "is"
    checks = [" == ".join(spans(cell)[0] for cell in row.values()) for row in table("resource_server")]
    run("\n".join(["from cognito_guard import ResourceServer", *spans(declared), *map("assert {}".format, checks)]))


def _not_admitted() -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        rule_for(check_rules([Rule(path="/orders")]), "GET", "/nowhere")
    return caught.value


def _without_a_user() -> RefusalError:
    pool = FakeUserPool()
    request = RequestFactory().get("/", headers=pool.headers())

    def nobody(_: Principal) -> None:
        return None

    settings = {"VERIFIER": pool.verifier(), "USER_RESOLVER": nobody}
    with override_settings(COGNITO_GUARD=settings), pytest.raises(RefusalError) as caught:
        enter(request)
    return caught.value


def _of_a_guest() -> RefusalError:
    identity_pool = FakeIdentityPool()
    with pytest.raises(RefusalError) as caught:
        identity_pool.verifier().verify(identity_pool.guest_token())
    return caught.value


def refusals(reason: Reason, pool: FakeUserPool) -> list[RefusalError]:
    """Return errors of a reason as they are really raised, of each class that has it."""
    if reason is Reason.NOT_ADMITTED:
        return [_not_admitted()]
    if reason is Reason.NO_USER:
        return [_without_a_user()]
    return [refused(reason)(pool), *([_of_a_guest()] if reason is Reason.CLAIM_MISMATCH else [])]


def test_reasons_are_all_listed() -> None:
    """In the order of their definition."""
    assert column("reasons", "reason") == list(Reason)


@pytest.mark.parametrize("row", table("reasons"), ids=column("reasons", "reason"))
def test_refusal_is_as_listed(row: Row, pool: FakeUserPool) -> None:
    """By class, status and error code of an error that was raised and answered; and only outages are retryable."""
    errors = refusals(Reason(row["reason"].strip("`")), pool)
    answers = [challenge_for(error) for error in errors]
    assert [str(error.reason) for error in errors] == [row["reason"].strip("`")] * len(errors)
    assert [type(error).__name__ for error in errors] == spans(row["class"])
    assert row["status"] == ", ".join(str(answer.status) for answer in answers)
    codes = [json.loads(answer.body).get("error") for answer in answers]
    assert row["error"] == (", ".join(f"`{code}`" for code in codes if code) or NOTHING)
    for answer, code in zip(answers, codes, strict=True):
        challenge = dict(answer.headers).get("WWW-Authenticate")
        told = None if challenge is None else re.findall(r'error="(\w+)"', challenge)
        assert told == (None if code in ("access_denied", "temporarily_unavailable") else [code] if code else [])
    assert {error.retryable for error in errors} == {row["class"] == "`UnavailableError`"}


# Adapters


async def _asgi(*_: object) -> None: ...


def _wsgi(*_: object) -> Iterable[bytes]:
    return ()


def _flask(verifier: Verifier, **options: Any) -> object:
    return flask.CognitoGuard(Flask("app"), verifier, **options)


def _django(verifier: Verifier, **options: Any) -> object:
    settings = {"VERIFIER": verifier, "REQUIRED": True} | {name.upper(): value for name, value in options.items()}
    return conf.build(settings)


MAKERS: Mapping[str, list[Callable[..., object]]] = {
    "ASGI": [partial(asgi.CognitoMiddleware, _asgi)],
    "WSGI": [partial(wsgi.CognitoMiddleware, _wsgi)],
    "Starlette backend": [starlette.CognitoBackend],
    "FastAPI": [CognitoBearer],
    "Flask": [_flask],
    "Lambda guard": [awslambda.CognitoGuard],
    "Django": [_django],
    "Lambda authorizers": [awslambda.RestAuthorizer, awslambda.HttpAuthorizer],
    "forward auth": [partial(ForwardAuth, proxy="nginx", rules=[Rule(path="/", public=True)])],
}
"""What takes options, by its column."""
VALUES: Mapping[str, tuple[object, object]] = {
    "requirement": (Requires(groups="admins"), "admins"),
    "required": (True, "no"),
    "token_from": ([header(), cookie("token")], [None]),
    "metadata": (ProtectedResource(RESOURCE, authorization_servers=RESOURCE), RESOURCE),
    "realm": ("orders", '"'),
    "problem_details": (True, "no"),
}
"""For each option a good value and one that can't be right."""


def _takes(make: Callable[..., object], verifier: Verifier, option: str) -> str:
    good, bad = VALUES[option]
    try:
        make(verifier, **{option: good})
    except (ConfigurationError, TypeError):
        return "no"
    try:
        make(verifier, **{option: bad})
    except ConfigurationError:
        return "yes"
    return "ignored"


def test_options_are_those_of_the_guard() -> None:
    """All but the verifier, each with its default."""
    parameters = parameters_of(Guard)
    del parameters["verifier"]
    assert column("options", "option") == list(parameters)
    assert set(parameters) == set(GuardOptions.__annotations__)
    for row, parameter in zip(table("options"), parameters.values(), strict=True):
        assert same(value_of(row["default"].strip("`")), parameter.default)


@pytest.mark.parametrize("row", table("takers"), ids=column("takers", "option"))
def test_adapter_takes_the_options_that_are_listed(row: Row, pool: FakeUserPool) -> None:
    """Taken is what a good value of is no mistake; a bad one always is."""
    option, verifier = row["option"].strip("`"), pool.verifier()
    assert list(row) == ["option", *MAKERS]
    found = {name: {_takes(make, verifier, option) for make in makers} for name, makers in MAKERS.items()}
    assert found == {name: {row[name]} for name in MAKERS}


def test_options_that_are_taken_are_all_listed() -> None:
    """The table has a row for each."""
    assert column("takers", "option") == list(VALUES) == column("options", "option")


def test_extractors_are_those_that_are_exported() -> None:
    """With their parameters."""
    makers = {
        name
        for name in cognito_guard.__all__
        if getattr(getattr(cognito_guard, name), "__module__", "") == header.__module__
    }
    calls = column("extractors", "name")
    assert {call.partition("(")[0] for call in calls} == makers
    assert [differences(call, getattr(cognito_guard, call.partition("(")[0])) for call in calls] == [[]] * len(calls)


def test_adapters_can_be_imported_as_listed() -> None:
    """Each from where the table says; and the close code is the one that is sent."""
    for row in table("adapters"):
        module, _, name = row["import"].strip("`").rpartition(".")
        assert name in exported(import_module(module))
    codes = {code for row in table("adapters") for code in re.findall(r"close (\d+)", row["a refused WebSocket"])}
    assert codes == {str(WEBSOCKET_POLICY_VIOLATION)}


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_all_listed(name: str) -> None:
    """Each name of the module, each member of a class of which one is listed, and every call as it must be made."""
    module = import_module(f"cognito_guard.{name}")
    listed = column(name.replace(".", "_"), "name")
    roots = {span.partition("(")[0].partition(".")[0] for span in listed}
    assert roots == exported(module)
    called = {span.partition("(")[0] for span in listed if "(" in span}
    # Elsewhere stand the arguments of those that have a table of their own.
    constructed = {root for root in roots if is_constructed(getattr(module, root))}
    assert constructed - called <= {maker.__name__ for maker in ARGUMENTS.values()}
    for span in listed:
        path = span.partition("(")[0]
        target, is_method = _target(module, path)
        if "(" in span:
            assert differences(span, target, is_method=is_method) == []
    for owner in {span.partition(".")[0] for span in listed if "." in span.partition("(")[0]}:
        members = {span.partition("(")[0].partition(".")[2] for span in listed if span.startswith(f"{owner}.")}
        assert members == _own_members(getattr(module, owner))


def _target(module: ModuleType, path: str) -> tuple[Any, bool]:
    """Return what a listed path names, and whether it takes a `self` first."""
    name, _, member = path.partition(".")
    owner = getattr(module, name)
    if not member:
        return owner, False
    return inspect.getattr_static(owner, member, None), inspect.isfunction(inspect.getattr_static(owner, member, None))


def _own_members(owner: type) -> set[str]:
    """Return the public members that a class defines, and those that its instances are documented to have."""
    documented = re.findall(r"^ +(\w+): ", (inspect.getdoc(owner) or "").partition("Attributes:")[2], re.MULTILINE)
    return {name for name in vars(owner) if not name.startswith("_")} | set(documented)


# Django


def test_django_settings_are_those_that_are_read() -> None:
    """All options, and every other key that the module names; each is known, with the default that is listed."""
    source = ast.walk(ast.parse(inspect.getsource(conf)))
    literals = {node.value for node in source if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = {text for text in literals if re.fullmatch(r"[A-Z_]{3,}", text)} - {conf.SETTING}
    keys = column("django_settings", "key")
    assert set(keys) == named.union(name.upper() for name in GuardOptions.__annotations__) - {
        "USER_POOL_ID",
        "CLIENT_ID",
    }
    built = conf.build({"USER_POOL_ID": "eu-west-1_AbCdEf123", "CLIENT_ID": "web"})
    found = {
        **{name.upper(): getattr(built.guard, name) for name in GuardOptions.__annotations__},
        "REQUIRED": not built.optional,
        "EXEMPT": tuple(built.exempt),
        "USER_RESOLVER": built.resolver,
        "PERMISSION_MAP": built.permission_map,
        "GROUP_MAP": built.group_map,
    }
    told = {row["key"].strip("`"): row["default"].strip("`") for row in table("django_settings")}
    assert told.pop("VERIFIER") == "one from the other keys"
    assert [key for key, default in told.items() if not same(value_of(default), found[key])] == []


def test_django_checks_are_as_listed() -> None:
    """All that the app registers, found with settings that are wrong in each way."""
    registered: Iterable[Callable[..., Iterable[CheckMessage]]] = cast("Any", registry.get_checks())
    ours = [check for check in registered if check.__module__.startswith("cognito_guard.")]
    with override_settings(COGNITO_GUARD=None, MIDDLEWARE=[COGNITO, AUTHENTICATION]):
        messages = [message for check in ours for message in check(app_configs=None, databases=None)]
    found = {message.id: type(message).__name__ for message in messages}
    assert found == {row["id"].strip("`"): row["level"] for row in table("django_checks")}
    assert len(found) == len(ours)


# Testing


def test_names_of_the_testing_package_are_all_listed() -> None:
    """Each once."""
    assert sorted(column("testing", "name")) == testing.__all__


@pytest.mark.parametrize(
    "mark, owner", [("fake_user_pool_members", FakeUserPool), ("revocations_members", RevocationList)]
)
def test_members_are_all_listed(mark: str, owner: type) -> None:
    """Each public one, and the parameters of those that are written as calls."""
    listed = column(mark, "name")
    assert {span.partition("(")[0] for span in listed} == public_members(owner)
    for span in listed:
        if "(" in span:
            assert differences(span, getattr(owner, span.partition("(")[0]), is_method=True) == []
