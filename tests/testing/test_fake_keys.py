"""Keys of fake user pools: real, few, never shared by accident."""

import gc
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jwt
import pytest

from cognito_guard.testing import FakeUserPool
from cognito_guard.testing.keys import SigningKey


def _moduli(pool: FakeUserPool) -> set[str]:
    return {jwk["n"] for jwk in pool.jwks["keys"]}


def test_jwk_has_cognitos_members_and_no_private_one() -> None:
    """A published key has the six members that Cognito publishes, in its order."""
    jwk = SigningKey.draw().jwk()
    assert list(jwk) == ["alg", "e", "kid", "kty", "n", "use"]
    assert {name: jwk[name] for name in ("alg", "e", "kty", "use")} == {
        "alg": "RS256",
        "e": "AQAB",
        "kty": "RSA",
        "use": "sig",
    }


def test_key_id_is_the_base64_of_a_sha256() -> None:
    """A key ID has 44 characters of standard base64 with padding, as Cognito's."""
    kid = SigningKey.draw().kid
    assert len(kid) == 44
    assert len(b64decode(kid, validate=True)) == 32


def test_public_half_verifies_what_the_private_half_signed() -> None:
    """An implementation that is not ours accepts the signature under the published key."""
    key = SigningKey.draw()
    token = key.sign({"alg": "RS256"}, {"greeting": "grüß dich"})
    assert jwt.decode(token, jwt.PyJWK(key.jwk()), algorithms=["RS256"]) == {"greeting": "grüß dich"}
    assert key.private_key.key_size == 2048


def test_two_living_pools_have_no_key_in_common() -> None:
    """Every pool in use has keys of its own, whatever its id."""
    pools = [FakeUserPool(), FakeUserPool(), FakeUserPool("us-east-1_Other")]
    assert len(set[str]().union(*map(_moduli, pools))) == 6


def test_pools_drawing_at_the_same_time_have_no_key_in_common() -> None:
    """Drawing keys is safe from several threads."""
    pools = [FakeUserPool() for _ in range(4)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        drawn = list(threads.map(_moduli, pools + pools))
    assert drawn[:4] == drawn[4:]
    assert len(set[str]().union(*drawn)) == 8


def test_many_pools_one_after_another_share_few_keys() -> None:
    """A key that nobody uses any more is lent again, so that a thousand pools cost no more than a few."""
    FakeUserPool().jwks  # noqa: B018 - draws the keys
    gc.collect()
    seen: set[str] = set()
    for number in range(1000):
        seen |= _moduli(FakeUserPool(f"eu-west-1_Pool{number}"))
    assert len(seen) <= 4


def test_key_lent_again_has_another_key_id() -> None:
    """A token of a pool that is gone never turns good under a later pool."""
    kids: list[str] = []
    for _ in range(50):
        kids += [jwk["kid"] for jwk in FakeUserPool().jwks["keys"]]
    assert len(set(kids)) == len(kids)


def test_key_that_somebody_still_holds_is_not_lent_again() -> None:
    """Holding the key, or a copy of it under another key ID, is using it."""
    held = FakeUserPool().access_key
    renamed = replace(held, kid="renamed")
    modulus = held.jwk()["n"]
    del held
    gc.collect()
    others = [FakeUserPool() for _ in range(5)]
    assert modulus not in set[str]().union(*map(_moduli, others))
    assert renamed.jwk()["n"] == modulus


def test_pool_told_to_share_has_the_same_keys() -> None:
    """`keys_of` makes the other pool's keys this pool's too, through every rotation."""
    pool = FakeUserPool()
    sharing = FakeUserPool("eu-west-1_Sharing", keys_of=pool)
    assert sharing.jwks == pool.jwks
    pool.rotate()
    assert sharing.jwks == pool.jwks
    assert sharing.access_key is pool.access_key


def test_repr_of_a_key_shows_no_private_number() -> None:
    """A key prints as its key ID alone."""
    key = SigningKey.draw()
    assert repr(key) == f"SigningKey(kid={key.kid!r})"


def test_rotation_publishes_old_and_new_keys_and_signs_with_the_new() -> None:
    """A planned rotation leaves tokens signed before verifiable."""
    pool = FakeUserPool()
    old = pool.jwks["keys"]
    pool.rotate()
    now = pool.jwks["keys"]
    assert now[:2] == old
    assert {jwk["kid"] for jwk in now[2:]} == {pool.id_key.kid, pool.access_key.kid}
    assert len({jwk["n"] for jwk in now}) == 4


def test_abrupt_rotation_publishes_the_new_keys_only() -> None:
    """With `publish_old=False` the whole set is swapped."""
    pool = FakeUserPool()
    old = _moduli(pool)
    pool.rotate(publish_old=False)
    assert len(_moduli(pool)) == 2
    assert {jwk["kid"] for jwk in pool.jwks["keys"]} == {pool.id_key.kid, pool.access_key.kid}
    assert not old & _moduli(pool)


def test_withdrawal_drops_the_keys_that_sign_no_more() -> None:
    """Without a key ID the signing keys stay and the others go, after any number of rotations."""
    pool = FakeUserPool()
    pool.rotate()
    pool.rotate()
    pool.withdraw()
    assert {jwk["kid"] for jwk in pool.jwks["keys"]} == {pool.id_key.kid, pool.access_key.kid}


def test_withdrawal_by_key_id_drops_that_key_alone() -> None:
    """Any published key can be withdrawn, also one that still signs."""
    pool = FakeUserPool()
    pool.withdraw(pool.access_key.kid)
    assert [jwk["kid"] for jwk in pool.jwks["keys"]] == [pool.id_key.kid]
    pool.withdraw(pool.id_key.kid)
    assert pool.jwks == {"keys": []}


def test_withdrawal_of_an_unknown_key_is_refused() -> None:
    """A key ID that is not published is a mistake of the test."""
    with pytest.raises(ValueError, match="kid"):
        FakeUserPool().withdraw("unknown")
