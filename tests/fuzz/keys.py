"""A fake user pool with the same keys in each process: an input found once is the same input for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache
from math import gcd
from random import Random
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicNumbers,
    rsa_crt_dmp1,
    rsa_crt_dmq1,
    rsa_crt_iqmp,
)

from cognito_guard.testing import AppClient, FakeClock, FakeUserPool

RESOURCE = "https://orders.example.com"
_SMALL_PRIMES = tuple(n for n in range(3, 2000, 2) if all(n % divisor for divisor in range(3, int(n**0.5) + 1, 2)))
_ROUNDS = 8


@cache
def pool() -> FakeUserPool:
    """Return the user pool, on a clock that stands still."""
    keys = _keys(Random(2048))
    machine = AppClient(client_id="2machineclientexample00000", client_secret="s" * 24)
    made = FakeUserPool(clock=FakeClock(), clients=[machine])
    with (
        patch("cognito_guard.testing.keys._spare", deque[object]()),
        patch("cognito_guard.testing.keys.generate_private_key", side_effect=keys),
    ):
        # Drawn at first use.
        made.access_key.jwk()
    return made


def _keys(rng: Random) -> Iterator[RSAPrivateKey]:
    """Make RSA keys that anybody can make again: worthless, but for tests."""
    e = 65537
    while True:
        p, q = _prime(rng), _prime(rng)
        phi = (p - 1) * (q - 1)
        if gcd(e, phi) != 1 or (p * q).bit_length() != 2048:
            continue
        d = pow(e, -1, phi)
        yield RSAPrivateNumbers(
            p=p,
            q=q,
            d=d,
            dmp1=rsa_crt_dmp1(d, p),
            dmq1=rsa_crt_dmq1(d, q),
            iqmp=rsa_crt_iqmp(p, q),
            public_numbers=RSAPublicNumbers(e, p * q),
        ).private_key()


def _prime(rng: Random) -> int:
    while True:
        candidate = rng.getrandbits(1024) | 3 << 1022 | 1
        if all(candidate % small for small in _SMALL_PRIMES) and _is_probable_prime(candidate, rng):
            return candidate


def _is_probable_prime(n: int, rng: Random) -> bool:
    """Test as Miller and Rabin do."""
    twos = ((n - 1) & -(n - 1)).bit_length() - 1
    odd = (n - 1) >> twos
    for _ in range(_ROUNDS):
        x = pow(rng.randrange(2, n - 1), odd, n)
        if x in (1, n - 1):
            continue
        if not any((x := x * x % n) == n - 1 for _ in range(twos - 1)):
            return False
    return True
