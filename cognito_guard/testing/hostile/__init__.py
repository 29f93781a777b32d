"""
A catalogue of hostile and odd tokens, to run against what guards an API.

Each entry has one thing wrong with it, or only looks as if it had: whatever else could be refused is as a genuine
token of the user pool has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from string import ascii_letters, digits, punctuation

from ...errors import Reason
from ..pool import FakeUserPool
from .algorithms import algorithms
from .claims import claims
from .encodings import encodings, sizes
from .foreign import foreign_tokens
from .forge import Case, Forge
from .headers import headers
from .issuers import issuers
from .json_texts import json_texts
from .key_ids import keys
from .recipients import recipients
from .signatures import signatures
from .times import times

_SENDABLE = frozenset(ascii_letters + digits + punctuation) - {","}
# nginx and gunicorn let 8 KiB through in a header line, its name included.
_MAX_SENDABLE = 8000

_KINDS: Mapping[str, Callable[[Forge], Iterable[Case]]] = {
    "algorithm": algorithms,
    "claim": claims,
    "encoding": encodings,
    "foreign": foreign_tokens,
    "header": headers,
    "issuer": issuers,
    "json": json_texts,
    "key": keys,
    "recipient": recipients,
    "signature": signatures,
    "size": sizes,
    "time": times,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileToken:
    """
    Hold one token and what must become of it.

    Attributes:
        name: its stable name, which begins with its kind: `algorithm-none`.
        kind: what is played with: "algorithm", "claim", "encoding", "foreign" (tokens of other kinds and makers),
            "header", "issuer", "json", "key", "recipient" (client, audience, token use), "signature", "size", "time".
        token: what a client would send as its bearer token.
        reason: why a verifier of the pool with default settings refuses it; None where it is odd but good, and must
            be accepted.
        why: what it tries, or why it is good, in one line.
    """

    name: str
    kind: str
    token: str = field(repr=False)
    reason: Reason | None
    why: str

    @property
    def sendable(self) -> bool:
        """
        Whether the text can stand behind `Bearer ` in a header, whatever client and server are between.

        All of it is visible ASCII, it holds no comma (which joins headers), and it fits into a header line.
        """
        return 0 < len(self.token) <= _MAX_SENDABLE and _SENDABLE.issuperset(self.token)

    def __str__(self) -> str:
        return self.name


def hostile_tokens(pool: FakeUserPool) -> tuple[HostileToken, ...]:
    """
    Return every hostile or odd token for a user pool: for its keys, its default client and its time of now.

        @pytest.mark.parametrize("hostile", hostile_tokens(pool), ids=str)
        def test_api_judges_token(hostile):
            if not hostile.sendable:
                pytest.skip("no header can carry it")
            response = client.get("/me", headers=pool.headers(hostile.token))
            assert response.status_code == (200 if hostile.reason is None else 401)

    The good ones carry few scopes and no groups: they say who is calling, and open no route that asks for more.

    What is said of a token holds for a day.  Those at the very edge of a second are there only where the pool's clock
    is a `FakeClock`: with one that runs, the second would be over before anybody looks.

    The same pool at the same time gives the same tokens, and no id of the pool is used up.

    Args:
        pool: the user pool that the guarded API trusts.  Rotating its keys afterwards spoils the catalogue.
    """
    forge = Forge(pool)
    return tuple(
        HostileToken(name=f"{kind}-{name}", kind=kind, token=token, reason=reason, why=why)
        for kind, cases in _KINDS.items()
        for name, token, reason, why in cases(forge)
    )
