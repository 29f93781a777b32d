"""Times: too late, too early, no times at all, and just in time."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Reason
from .forge import DAY, LEEWAY, Case, Forge


def times(forge: Forge) -> Iterator[Case]:
    """Yield tokens with a genuine signature whose time is over, or has not come, or is odd but good."""
    yield from _over(forge)
    yield from _to_come(forge)
    yield from _good(forge)
    if forge.ticks:
        yield from _edges(forge)


def _over(forge: Forge) -> Iterator[Case]:
    now = forge.now
    ends = {
        "expired-with-the-leeway": (now - LEEWAY, "`exp` is the first second that is too late (RFC 7519 §4.1.4)."),
        "expired-past-the-leeway": (now - LEEWAY - 1, "Too late by one second more than clocks may differ."),
        "expired-a-day-ago": (now - DAY, "Yesterday's."),
        "expired-in-1970": (1, "Over for as long as there is time."),
        "expired-at-zero": (0, "Zero is a time, and not `no limit`."),
    }
    for name, (exp, why) in ends.items():
        yield name, forge.signed(claims={"iat": 0, "exp": exp}), Reason.EXPIRED, why
    why = "Over before it was issued."
    yield "expired-before-issued", forge.signed(claims={"exp": now - DAY}), Reason.EXPIRED, why
    token = forge.signed(claims={"exp": 0, "nbf": 0, "auth_time": 0, "expires_in": DAY})
    yield "expired-but-renewed-by-another-claim", token, Reason.EXPIRED, "Only `exp` tells when a token ends."
    token = forge.signed(forge.header_text({"exp": now + DAY}), {"iat": 0, "exp": now - DAY})
    yield "expired-but-not-by-its-header", token, Reason.EXPIRED, "`exp` counts in the claims alone."
    raw = {
        "not-finite": (b"1e400", Reason.MALFORMED_TOKEN),
        "exponent": (b"2e9", Reason.MALFORMED_CLAIM),
        "fraction": (b"1999999999.5", Reason.MALFORMED_CLAIM),
    }
    for name, (number, reason) in raw.items():
        text = forge.payload({"exp": 0}).replace(b'"exp":0', b'"exp":' + number)
        yield f"exp-{name}", forge.signed(claims=text), reason, "A time is whole seconds from 1970 on."


def _to_come(forge: Forge) -> Iterator[Case]:
    now = forge.now
    token = forge.signed(claims={"nbf": now + DAY, "exp": now + 2 * DAY})
    yield "not-before-tomorrow", token, Reason.NOT_YET_VALID, "Its time has not come (RFC 7519 §4.1.5)."
    token = forge.signed(claims={"nbf": now + DAY})
    yield "never-valid", token, Reason.NOT_YET_VALID, "Ends when it begins."
    token = forge.signed(claims={"iat": now + DAY, "exp": now + 2 * DAY})
    yield "issued-tomorrow", token, Reason.ISSUED_IN_FUTURE, "Signed ahead, for later; or a clock is far off."
    token = forge.signed(claims={"iat": 2**53, "exp": 2**53})
    yield "issued-at-the-end-of-time", token, Reason.ISSUED_IN_FUTURE, "The latest time there is."
    token = forge.signed(claims={"iat": now * 1000, "exp": (now + DAY) * 1000})
    yield "in-milliseconds", token, Reason.ISSUED_IN_FUTURE, "Milliseconds are a far future."


def _good(forge: Forge) -> Iterator[Case]:
    now = forge.now
    good = {
        "issued-in-1970": ({"iat": 0}, "Old, and good for as long as it says."),
        "without-end": ({"exp": 2**53}, "The latest time there is."),
        "issued-within-the-leeway": ({"iat": now + LEEWAY}, "A clock that is ahead by no more than clocks may differ."),
        "not-before-now": ({"nbf": now}, "Its time has just come."),
        "not-before-within-the-leeway": ({"nbf": now + LEEWAY}, "Its time has all but come."),
        "not-before-1970": ({"nbf": 0}, "Zero is a time."),
        "authenticated-in-1970": ({"auth_time": 0}, "How long ago is a matter of what is asked for."),
        "authenticated-tomorrow": ({"auth_time": now + DAY}, "Nobody asked when; who does, must not trust this one."),
    }
    for name, (changes, why) in good.items():
        yield name, forge.signed(claims=changes), None, why


def _edges(forge: Forge) -> Iterator[Case]:
    """Yield what is right for a second only."""
    now = forge.now
    token = forge.signed(claims={"iat": 0, "exp": now - LEEWAY + 1})
    yield "expires-within-the-leeway", token, None, "In the last second that the leeway gives."
    token = forge.signed(claims={"iat": 0, "exp": now})
    yield "expires-now", token, None, "Over, but by no more than clocks may differ."
    token = forge.signed(claims={"nbf": now + LEEWAY + 1})
    yield "not-before-past-the-leeway", token, Reason.NOT_YET_VALID, "Too early by one second more than clocks differ."
    token = forge.signed(claims={"iat": now + LEEWAY + 1})
    yield "issued-past-the-leeway", token, Reason.ISSUED_IN_FUTURE, "Ahead by one second more than clocks may differ."
