"""Whatever reads a stranger's text, over seeds and mutants; and fuzzed for a while where atheris is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest
from fuzz.__main__ import NAMES
from fuzz.keys import pool
from fuzz.targets import TARGETS

from cognito_guard.testing import FakeUserPool

ROOT = Path(__file__).parents[1]
MUTANTS = 300
SECONDS = 10
RUNS = 200_000
PATIENCE = 300.0  # seconds; a run takes SECONDS, and a start

POOL_SETTINGS = b"USER_POOL_ID=eu-west-1_AbCdEf123\nCLIENT_ID=1h57kf5cpq17m0eml12example\n"
# What fuzzing has called into question, and what is right as it is.
QUESTIONED: dict[str, tuple[str, bytes]] = {
    "answer: the standard library takes a unit separator for white space": ("answer", b"HTTP/1.1\x1f200 OK\r\n\r\nx"),
    "answer: and a blank that is no ASCII before it": ("answer", b"\xa0\xa0HTTP/1.1 200 OK\r\n\r\nx"),
    "answer: an interim response comes first": ("answer", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx"),
    "answer: a chunk of a size below all that fit": (
        "answer",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5222222222222222222\r\n{}",
    ),
    "settings: a scheme in upper case": ("settings", POOL_SETTINGS + b"JWKS_URI=HTTPS://keys.example.com/"),
    "settings: a host literal of the future": ("settings", POOL_SETTINGS + b"JWKS_URI=https://[v1.x]/"),
    "claims: a payload without the first claim that is looked for": ("claims", b'{"sub":"x","exp":1700086400}'),
}


def mutated(rng: Random, data: bytes, longest: int) -> bytes:
    """Stand in for the engine's mutation of bytes: flip, insert, cut and repeat."""
    octets = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(0, len(octets))
        octets[place : place + rng.choice((0, 0, 1, 1, 4))] = rng.choice(
            (b"", rng.randbytes(rng.randint(1, 3)), octets[place : place + 8], b'"', b"}", b"\\", b".", b"0")
        )
    return bytes(octets[:longest])


def test_command_names_every_target() -> None:
    """The list for whoever must not import the package yet is the list of the targets."""
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_target_holds_for_its_seeds(name: str) -> None:
    """Good and hostile inputs alike keep each promise, and there are some of them."""
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert len(seeds) >= 10
    for seed in seeds:
        target.run(seed)


@pytest.mark.parametrize("name", NAMES)
def test_target_holds_for_mutants(name: str) -> None:
    """A few hundred seeded mutants on every interpreter, whether the engine can be had for it or not."""
    target, rng = TARGETS[name], Random(20_260_101)
    seeds = list(target.seeds())
    for number in range(MUTANTS):
        seed = rng.choice(seeds)
        if target.mutator is None:
            target.run(mutated(rng, seed, target.longest))
        else:
            target.run(target.mutator(seed, target.longest, number, lambda data, most: mutated(rng, data, most)))


def test_keys_of_the_targets_are_the_same_in_each_process() -> None:
    """An input that broke something is worth keeping: its signature stays good."""
    kids = [key["kid"] for key in pool().jwks["keys"]]
    assert kids == ["DLjFUH5Q63d6nnYu8s1fRU4Aks+ndB774LXj/9i8WAs=", "6r+vhDSjgQwVKQ+03sz/YLWUHcNj3ThIxlh75vFF4KI="]
    assert FakeUserPool().access_key.kid not in kids


@pytest.mark.parametrize("name, data", QUESTIONED.values(), ids=QUESTIONED.keys())
def test_input_that_was_questioned_keeps_the_promises(name: str, data: bytes) -> None:
    """What fuzzing has found once is looked at in each run."""
    TARGETS[name].run(data)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
def test_target_holds_while_it_is_fuzzed(name: str, tmp_path: Path) -> None:
    """No input that coverage leads to breaks a promise."""
    if find_spec("atheris") is None:
        pytest.skip("there is no atheris for this interpreter")
    bounds = ["--seconds", str(SECONDS), "--runs", str(RUNS), "--seed", "1", "--corpus", str(tmp_path)]
    paths = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, *bounds],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
