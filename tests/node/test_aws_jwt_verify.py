"""Tokens judged by us and by AWS's own verifier for Node: the same verdict, or stricter for a listed reason."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mutations import LEEWAY, RESOURCE, Herd, Mutant
from strictness import BEYOND_PYTHON, CLAIMS, FORM, NO_COGNITO_CHECKS, Reading, Stricter

from cognito_guard import CognitoVerifier, InvalidTokenError, Principal, Reason
from cognito_guard.testing import FakeUserPool
from cognito_guard.testing.hostile import hostile_tokens

pytestmark = pytest.mark.node

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / "build" / "node"
SEED = 20_260_102
COUNT = 3000
# A name that is not found fails the test: who asks for these tests has Node.
NODE, NPM = (shutil.which(name) or name for name in ("node", "npm"))
PATIENCE = 110.0  # seconds for an installation or a run, which take a few

STRICTER: Mapping[str, Stricter] = {**BEYOND_PYTHON, **FORM, **CLAIMS, **NO_COGNITO_CHECKS}
# JSON.parse itself refuses these.
NOT_IN_JAVASCRIPT = {"a number that JSON does not have"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Hold a mutant, our verdict and the other's: the claims that were read, or the name of the error."""

    mutant: Mutant
    ours: Principal | Reason
    theirs: Mapping[str, Any] | str

    @property
    def is_refused_by_us_alone(self) -> bool:
        """Whether we are the stricter one."""
        return isinstance(self.ours, Reason) and not isinstance(self.theirs, str)

    @property
    def is_accepted_by_us_alone(self) -> bool:
        """Whether we are the laxer one."""
        return isinstance(self.ours, Principal) and isinstance(self.theirs, str)

    def is_explained_by(self, case: Stricter) -> bool:
        """Tell whether a listed case is why we alone refuse."""
        return self.is_refused_by_us_alone and self.ours == case.reason and case.applies(Reading(self.mutant))


@pytest.fixture(scope="session")
def oracle() -> Path:
    """Install aws-jwt-verify; return the script that asks it."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "oracle.js"):
        shutil.copy(HERE / name, INSTALLED)
    run(NPM, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--prefer-offline")
    return INSTALLED / "oracle.js"


def run(*command: str | Path, given: str = "") -> str:
    """Run a command where the other verifier is installed; return what it prints."""
    ended = subprocess.run(
        command, cwd=INSTALLED, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def asked(oracle: Path, configuration: Mapping[str, Any], mutants: Iterable[Mutant]) -> list[Mapping[str, Any] | str]:
    """Return the verdicts of aws-jwt-verify."""
    lines = [json.dumps(configuration), *(json.dumps({"token": one.token, "now": one.now}) for one in mutants)]
    verdicts = map(json.loads, run(NODE, oracle, given="\n".join(lines)).splitlines())
    return [verdict["refused"] if "refused" in verdict else verdict["claims"] for verdict in verdicts]


def configured(pool: FakeUserPool) -> dict[str, Any]:
    """Return how the other verifier is configured for a user pool."""
    return {
        "userPoolId": pool.user_pool_id,
        "clientId": list(pool.clients),
        "tokenUse": "access",
        "graceSeconds": LEEWAY,
        "jwks": pool.jwks,
    }


def verdict(verifier: CognitoVerifier, token: str) -> Principal | Reason:
    """Return our verdict; anything but a refusal of the token would be an error."""
    try:
        return verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason


@pytest.fixture(scope="session")
def herd() -> Herd:
    """Return where the mutants come from."""
    return Herd()


@pytest.fixture(scope="session")
def judged(oracle: Path, herd: Herd) -> list[Judged]:
    """Have all mutants judged by both."""
    verifier = herd.pool.verifier(resource=RESOURCE, leeway=LEEWAY, jwks=herd.pool.jwks)
    mutants = list(herd.mutants(SEED, COUNT))
    theirs = asked(oracle, configured(herd.pool), mutants)
    assert len(theirs) == COUNT
    return list(judge(herd, verifier, mutants, theirs))


def judge(
    herd: Herd, verifier: CognitoVerifier, mutants: list[Mutant], theirs: list[Mapping[str, Any] | str]
) -> Iterator[Judged]:
    """Add our verdicts."""
    start = herd.clock()
    for mutant, other in zip(mutants, theirs, strict=True):
        herd.clock.tick(mutant.now - herd.clock())
        yield Judged(mutant=mutant, ours=verdict(verifier, mutant.token), theirs=other)
    herd.clock.tick(start - herd.clock())


def said_by(principal: Principal) -> dict[str, Any]:
    """Return what the other verifier answers for the same caller."""
    return {
        "iss": principal.issuer,
        "sub": principal.subject,
        "client_id": principal.client_id,
        "username": principal.username,
        "exp": principal.expires_at,
        "scope": principal.claims.get("scope"),
        "cognito:groups": list(principal.claims["cognito:groups"]) if "cognito:groups" in principal.claims else None,
    }


def test_good_tokens_are_accepted_by_both(oracle: Path, herd: Herd) -> None:
    """Every kind of access token that Cognito issues is one to both, and says the same."""
    verifier = herd.pool.verifier(resource=RESOURCE, jwks=herd.pool.jwks)
    mutants = [Mutant(kind=kind, token=token, now=herd.clock()) for kind, token in herd.good_tokens().items()]
    theirs = asked(oracle, configured(herd.pool), mutants)
    assert theirs == [said_by(verifier.verify(mutant.token)) for mutant in mutants]


def test_nothing_is_accepted_that_aws_refuses(judged: list[Judged]) -> None:
    """A token that we alone accept would be a hole."""
    assert [one for one in judged if one.is_accepted_by_us_alone] == []


def test_what_we_alone_refuse_is_refused_for_a_listed_reason(judged: list[Judged]) -> None:
    """Whatever else is refused here, a genuine token could be refused for as well."""
    alone = [one for one in judged if one.is_refused_by_us_alone]
    assert [one for one in alone if not any(map(one.is_explained_by, STRICTER.values()))] == []


@pytest.mark.parametrize("name", [name for name in STRICTER if name not in NOT_IN_JAVASCRIPT])
def test_listed_case_occurs(judged: list[Judged], name: str) -> None:
    """A case that never occurs would hide what we refuse by mistake."""
    assert any(one.is_explained_by(STRICTER[name]) for one in judged)


def test_accepted_token_says_the_same_to_both(judged: list[Judged]) -> None:
    """Two readings of one token are how an identity is smuggled past the one who checks it."""
    accepted = [(one.ours, one.theirs) for one in judged if isinstance(one.ours, Principal)]
    assert len(accepted) >= COUNT // 20
    assert [theirs for _, theirs in accepted] == [said_by(ours) for ours, _ in accepted]


def test_catalogue_of_hostile_tokens_holds_for_aws_too(oracle: Path) -> None:
    """What is odd but good is good to both, and the rest is refused by both or for a listed reason."""
    herd = Herd()
    catalogue = hostile_tokens(herd.pool)
    mutants = [Mutant(kind=one.name, token=one.token, now=herd.clock()) for one in catalogue]
    theirs = asked(oracle, configured(herd.pool), mutants)
    judged = list(judge(herd, herd.pool.verifier(jwks=herd.pool.jwks), mutants, theirs))
    assert [one.mutant.kind for one in judged if one.is_accepted_by_us_alone] == []
    alone = [one for one in judged if one.is_refused_by_us_alone]
    assert [one.mutant.kind for one in alone if not any(map(one.is_explained_by, STRICTER.values()))] == []
