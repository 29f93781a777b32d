"""The house rules: who may import whom, and which one module may know of statuses, threads and untrusted bytes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import cognito_guard

PACKAGE = Path(cognito_guard.__file__).parent
ROOT = "cognito_guard"

# Lowest first; a package stands for all that is in it.  Who stands in none of them is an adapter.
LAYERS: dict[str, tuple[str, ...]] = {
    "locks": ("forksafe",),
    "words": ("errors", "_version"),
    "pure": (
        "abstract",
        "awslambda.asserted",
        "awslambda.context",
        "awslambda.identity",
        "awslambda.shapes",
        "awslambda.texts",
        "emulators",
        "hints",
        "tokens",
        "keys",
        "keys.keyset",
        "keys.freshness",
        "pool",
        "principal",
        "requires",
        "scopes",
        "settings",
    ),
    "time and threads": (
        *("keys.bucket", "keys.fetch", "keys.remote", "keys.settings", "keys.source"),
        *("examination", "explain", "revocations", "routing", "tenants", "verifier"),
        *("alb", "identity_pool"),
    ),
    "http": ("metadata", "challenge", "guard"),
    "public names": ("",),
    "tools": ("testing", "cli", "__main__"),
}
CORE_LAYERS = tuple(LAYERS)[:-1]
ADAPTER = "adapter"


def path_of(module: str) -> Path:
    """Return the file of a module, named below the root."""
    path = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def tree_of(module: str) -> ast.Module:
    """Parse a module."""
    return ast.parse(path_of(module).read_text())


def all_modules() -> list[str]:
    """Return every module, named below the root; the root itself is the empty name."""
    files = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(file.parts).removesuffix("__init__").removesuffix(".") for file in files)


def layer_of(module: str) -> str:
    """Return the layer of a module: its own, or that of the nearest package around it."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for layer, members in LAYERS.items():
            if name in members:
                return layer
    return ADAPTER


def height_of(module: str) -> int:
    """Return how high the layer of a module lies; adapters and tools share the top."""
    layer = layer_of(module)
    return list(LAYERS).index("tools" if layer == ADAPTER else layer)


def imports_of(module: str) -> Iterator[str]:
    """Yield the full name of everything a module imports, wherever in it, also for type checkers alone."""
    around = [ROOT, *module.split(".")] if module else [ROOT]
    package = around if path_of(module).name == "__init__.py" else around[:-1]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*source, alias.name]) for alias in node.names)


def ours_imported_by(module: str) -> set[str]:
    """Return which of our modules a module imports, named below the root."""
    known, found = set(all_modules()), set[str]()
    for full in imports_of(module):
        if full.split(".")[0] != ROOT:
            continue
        # The name may be that of a module or of something within one.
        name = full.removeprefix(ROOT).removeprefix(".")
        found.add(name if name in known else name.rpartition(".")[0])
    return found


def others_imported_by(module: str) -> set[str]:
    """Return the full names of what a module imports from elsewhere."""
    return {full for full in imports_of(module) if full.split(".")[0] not in {ROOT, "__future__"}}


def in_layers(*layers: str) -> list[str]:
    """Return the modules of these layers."""
    return [module for module in all_modules() if layer_of(module) in layers]


def identifiers_of(module: str) -> set[str]:
    """Return every name, attribute and imported name that a module mentions."""
    names: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.update(node.name.split("."), [node.asname or node.name])
    return names


def strings_of(module: str) -> set[str]:
    """Return every string that a module writes."""
    constants = (node.value for node in ast.walk(tree_of(module)) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def numbers_of(module: str) -> set[int]:
    """Return every integer that a module writes."""
    constants = (node.value for node in ast.walk(tree_of(module)) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, int) and not isinstance(value, bool)}


def is_within(name: str, roots: tuple[str, ...]) -> bool:
    """Tell whether a full name is one of the roots or lies below one."""
    return any(name == root or name.startswith(f"{root}.") for root in roots)


@pytest.mark.parametrize("module", [pytest.param(name, id=name or "the root") for name in all_modules()])
def test_module_imports_only_from_its_own_layer_and_those_beneath(module: str) -> None:
    """What is pure stays pure, and no layer knows of those above it."""
    assert {name for name in ours_imported_by(module) if height_of(name) > height_of(module)} == set()


def test_imports_go_in_no_circle() -> None:
    """Not even inside a layer, inside a function or for type checkers alone."""
    graph = {module: ours_imported_by(module) - {module} for module in all_modules()}
    assert [*TopologicalSorter(graph).static_order()]


def test_walk_finds_imports_wherever_they_stand() -> None:
    """Relative ones and full ones, at the top and inside a function: what is not seen is not forbidden."""
    assert ours_imported_by("tokens.policy") == {"errors", "settings", "tokens.claims", "tokens.jws"}
    assert {"errors", "verifier", "tokens.policy"} <= ours_imported_by("")
    assert "asyncio" in others_imported_by("keys.remote")
    assert "jwt.algorithms.RSAAlgorithm" in others_imported_by("keys.keyset")


def test_layers_name_modules_that_exist() -> None:
    """A rule about a module that is gone guards nothing."""
    assert {member for members in LAYERS.values() for member in members} <= set(all_modules())
    assert {"asgi", "starlette"} <= set(in_layers(ADAPTER))


IMPURE = (
    *("time", "datetime", "threading", "asyncio", "concurrent", "multiprocessing", "queue", "socket", "ssl", "http"),
    *("urllib.request", "os", "sys", "io", "pathlib", "logging", "random", "secrets", "subprocess"),
)


@pytest.mark.parametrize("module", in_layers("words", "pure"))
def test_pure_module_has_no_clock_no_thread_and_no_socket(module: str) -> None:
    """Text and `now` go in, values or errors come out: nothing there to wait for."""
    assert {name for name in others_imported_by(module) if is_within(name, IMPURE)} == set()


def test_words_import_nothing_of_ours() -> None:
    """Everything imports the errors."""
    assert [ours_imported_by(module) for module in in_layers("words")] == [set(), set()]


@pytest.mark.parametrize("module", [pytest.param(name, id=name or "the root") for name in in_layers(*CORE_LAYERS)])
def test_core_needs_no_more_than_it_declares(module: str) -> None:
    """The standard library; cryptography and PyJWT for the keys alone, cachetools for the verified tokens."""
    foreign = {name.split(".")[0] for name in others_imported_by(module)} - sys.stdlib_module_names
    declared = {
        "keys.keyset": {"cryptography", "jwt"},
        "alb.keys": {"cachetools", "cryptography"},
        "tokens.memo": {"cachetools"},
        "tenants": {"cachetools"},
        "tokens.speed": {"orjson", "pybase64"},
    }
    assert foreign <= declared.get(module, set[str]())


@pytest.mark.parametrize("module", [pytest.param(name, id=name or "the root") for name in in_layers(*CORE_LAYERS)])
def test_one_module_knows_the_statuses_of_answers(module: str) -> None:
    """`challenge` writes them; `keys.fetch` reads those of the key endpoint (200, 403, 404) and answers nobody."""
    allowed = {"challenge": {400, 401, 403, 503}, "keys.fetch": {403}}.get(module, set[int]())
    assert numbers_of(module) & {400, 401, 403, 407, 426, 429, 500, 502, 503} <= allowed


def test_status_rule_is_about_numbers_that_are_there() -> None:
    """The rule above would see a status: it finds those that belong."""
    assert {400, 401, 403, 503} <= numbers_of("challenge")
    assert {200, 403, 404} <= numbers_of("keys.fetch")


@pytest.mark.parametrize("module", [pytest.param(name, id=name or "the root") for name in in_layers(*CORE_LAYERS)])
def test_one_module_has_threads_and_locks(module: str) -> None:
    """`keys.remote`, with the lock of `forksafe`; nobody else waits, or belongs to an event loop."""
    threads = ("threading", "_thread", "concurrent", "asyncio", "multiprocessing", "queue", "contextvars")
    locks = {"Lock", "RLock", "Condition", "Semaphore", "Thread", "register_at_fork"}
    mentioned = {name for name in others_imported_by(module) if is_within(name, threads)}
    mentioned |= identifiers_of(module) & locks
    assert (mentioned != set()) is (module in {"forksafe", "keys.remote"})


@pytest.mark.parametrize("module", [pytest.param(name, id=name or "the root") for name in in_layers(*CORE_LAYERS)])
def test_one_module_decodes_base64_and_json(module: str) -> None:
    """`tokens.jws` reads what others wrote, with what `tokens.speed` takes over of it; to encode is anybody's."""
    decoders = {"loads", "load", "JSONDecoder", "raw_decode", "make_scanner", "scanner", "binascii", "a2b_base64"}
    decoders |= {"b64decode", "urlsafe_b64decode", "standard_b64decode", "decodebytes", "literal_eval", "eval", "exec"}
    assert (identifiers_of(module) & decoders != set()) is (module in {"tokens.jws", "tokens.speed"})


CLAIMS = {
    *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act", "acr", "amr", "auth_time", "token_use"),
    *("client_id", "username", "origin_jti", "event_id", "cognito:groups", "cognito:username", "kid", "alg"),
}


@pytest.mark.parametrize("module", in_layers(ADAPTER))
def test_adapter_mentions_no_claim_status_clock_or_cache(module: str) -> None:
    """It collects header values, calls the verifier and renders a challenge: the rest is the core's."""
    assert strings_of(module) & CLAIMS == set()
    assert {number for number in numbers_of(module) if 100 <= number <= 5000} == set()
    assert identifiers_of(module) & {"jwt", "time", "clock", "timer", "datetime", "monotonic"} == set()
    assert {name for name in identifiers_of(module) if "cache" in name.lower()} == set()
    assert identifiers_of(module) & {"loads", "b64decode", "urlsafe_b64decode", "json", "base64"} == set()


@pytest.mark.parametrize("module", in_layers(ADAPTER))
def test_adapter_stays_small(module: str) -> None:
    """Under 150 lines: what is longer does more than adapt."""
    assert len(path_of(module).read_text().splitlines()) < 150


PROBE = """
import importlib, json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
failed = []
for name in {modules}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed.append(str(error))
print(json.dumps([failed, sorted(sys.modules)]))
"""
FRAMEWORKS = ["starlette", "fastapi", "uvicorn", "flask", "quart", "werkzeug", "django", "rest_framework", "aiohttp"]


def imported_with_frameworks_blocked(*modules: str) -> tuple[list[str], set[str]]:
    """Import modules in a fresh process; return the errors, and which modules are loaded then."""
    script = PROBE.format(blocked=set(FRAMEWORKS), modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, cwd=PACKAGE.parent
    )
    failed, loaded = json.loads(done.stdout)
    return failed, set(loaded)


def test_root_needs_no_framework_and_loads_nothing_it_may_never_use() -> None:
    """A program that judges tokens with keys of its own pays for no HTTP client, no TLS, no event loop and no PyJWT."""
    failed, loaded = imported_with_frameworks_blocked(ROOT)
    assert failed == []
    unwanted = {
        *FRAMEWORKS,
        "jwt",
        "asyncio",
        "ssl",
        "_ssl",
        "http.client",
        "urllib.request",
        "email",
        "multiprocessing",
    }
    unwanted |= {f"{ROOT}.{module}" for module in in_layers(ADAPTER, "tools")}
    assert loaded & unwanted == set()


def test_asgi_guard_and_fake_user_pool_need_no_framework() -> None:
    """Only the adapter of a framework needs it, and says what to install."""
    failed, loaded = imported_with_frameworks_blocked(f"{ROOT}.asgi", f"{ROOT}.testing", f"{ROOT}.starlette")
    assert len(failed) == 1
    assert "pip install 'cognito-guard[asgi]'" in failed[0]
    assert loaded & set(FRAMEWORKS) == set()
