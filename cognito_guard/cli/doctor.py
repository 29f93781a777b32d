"""
Look at a configuration from where it will run: settings, key endpoints, discovery documents and the clock.

Whatever is wrong is a line of a table.  Everything is bounded in time and size as the verifier's own fetches are.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from inspect import signature
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..explain import aligned
from ..keys.fetch import FetchError, HTTPSFetch
from ..keys.keyset import InvalidKeySetError, KeySet
from ..settings import arguments_from_env, named_as_variables
from ..tokens.jws import NotStrictError, json_object
from ..tokens.lenient import shown
from ..verifier import CognitoVerifier

if TYPE_CHECKING:
    from http.client import HTTPResponse

Outcome: TypeAlias = Literal["passed", "warning", "failed", "skipped"]

_GRACE = 1.0  # seconds in which a fetch that is over its time ends by itself, unless a name server hangs
_SUSPICIOUS_OFFSET = 5.0  # seconds between two clocks
_KEYS, _DISCOVERY = "/jwks.json", "/openid-configuration"
_UPDATED_HOST = "issuer-cognito-idp."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold one line of the table."""

    check: str
    outcome: Outcome
    finding: str


@dataclass(slots=True, kw_only=True)
class _Probe:
    """Hold what one fetch brought, and when; `date` is what the endpoint said of the time."""

    body: bytes | None = None
    problem: str = "no answer in time"
    refused: bool = False
    date: str | None = None
    seconds: float = 0.0
    ended_at: float = 0.0


_Fetched: TypeAlias = Callable[[str], _Probe]


def run_doctor(
    settings: Mapping[str, Any],
    *,
    as_json: bool,
    clock: Callable[[], float] = time.time,
    patience: float = 5.0,
) -> int:
    """
    Examine the settings and what they point at, and print what was found.

    Args:
        settings: arguments of the verifier that win over the environment's.
        as_json: print one JSON object.
        clock: this machine's wall time, seconds since the epoch.
        patience: seconds for one document.

    Returns:
        0 where nothing failed, else 1.
    """
    findings = list(_examine(settings, partial(_fetched, clock=clock, patience=patience)))
    healthy = all(finding.outcome != "failed" for finding in findings)
    if as_json:
        print(json.dumps({"healthy": healthy, "checks": [asdict(finding) for finding in findings]}, indent=2))
    else:
        rows = [("check", "outcome", "finding"), *((one.check, one.outcome, one.finding) for one in findings)]
        print("\n".join(aligned(rows)))
    return 0 if healthy else 1


def _examine(settings: Mapping[str, Any], fetched: _Fetched) -> Iterator[Finding]:
    try:
        with named_as_variables(settings):
            arguments = arguments_from_env(os.environ, **settings)
            verifier = CognitoVerifier(**arguments)
    except ConfigurationError as error:
        yield Finding(check="settings", outcome="failed", finding=str(error))
        return
    yield Finding(check="settings", outcome="passed", finding=f"user pool {verifier.user_pool.user_pool_id}")
    # Several issuers may share one place.
    probes = {uri: fetched(uri) for uri in dict.fromkeys(verifier.user_pool.jwks_uris.values())}
    is_only = len(probes) == 1
    for uri, probe in probes.items():
        yield _keys(uri, probe, is_only=is_only)
    for uri in probes:
        yield _discovery(uri, verifier.user_pool.issuers, fetched, is_only=is_only)
    leeway = arguments.get("leeway", signature(CognitoVerifier).parameters["leeway"].default)
    yield _clock(probes.values(), leeway)


def _keys(uri: str, probe: _Probe, *, is_only: bool) -> Finding:
    """Judge a key endpoint."""
    if probe.body is None:
        return _unserved("keys", uri, probe, is_only=is_only)
    took = f"{uri} answered in {probe.seconds * 1000:.0f} ms"
    try:
        keys = KeySet.from_json(probe.body)
    except InvalidKeySetError as error:
        return Finding(check="keys", outcome="failed", finding=f"{took}: {error}")
    return Finding(check="keys", outcome="passed", finding=f"{took}: {len(keys.by_kid)} usable, {keys.skipped} skipped")


def _discovery(uri: str, issuers: tuple[str, ...], fetched: _Fetched, *, is_only: bool) -> Finding:
    """
    Judge the discovery document beside a key endpoint: it names the issuer that tokens will have.

    No token is verified with its help, so that a missing one is no failure.
    """
    if not uri.endswith(_KEYS):
        return Finding(check="discovery", outcome="skipped", finding=f"no document is known to be beside {uri}")
    place = uri.removesuffix(_KEYS) + _DISCOVERY
    probe = fetched(place)
    if probe.body is None:
        return _unserved("discovery", place, probe, is_only=is_only, otherwise="warning")
    try:
        issuer = json_object(probe.body).get("issuer")
    except NotStrictError as error:
        return Finding(check="discovery", outcome="failed", finding=f"{place}: {error}")
    if issuer in issuers:
        return Finding(check="discovery", outcome="passed", finding=f"{place} names {issuer}")
    return Finding(
        check="discovery", outcome="failed", finding=f"{place} names {shown(issuer)}, which is not accepted here"
    )


def _unserved(check: str, uri: str, probe: _Probe, *, is_only: bool, otherwise: Outcome = "failed") -> Finding:
    """Judge an endpoint that brought nothing; one form of issuer is enough for a user pool."""
    is_updated = (urlsplit(uri).hostname or "").startswith(_UPDATED_HOST)
    if probe.refused and is_updated and not is_only:
        return Finding(check=check, outcome="skipped", finding=f"{uri}: this user pool does not serve it")
    return Finding(check=check, outcome=otherwise, finding=f"{uri}: {probe.problem}")


def _clock(probes: Iterable[_Probe], leeway: float) -> Finding:
    """Compare this machine's clock with that of the first endpoint that tells its own."""
    for probe in probes:
        try:
            date = parsedate_to_datetime(probe.date or "")
        except (ValueError, OverflowError):  # none, or one that nobody's calendar has
            continue
        # Half a second: the header tells whole ones.
        offset = probe.ended_at - (date.replace(tzinfo=date.tzinfo or UTC).timestamp() + 0.5)
        finding = f"{abs(offset):.0f} seconds {'ahead of' if offset > 0 else 'behind'} the key endpoint's"
        if abs(offset) > leeway:
            return Finding(check="clock", outcome="failed", finding=f"{finding}, more than the leeway of {leeway:g}")
        return Finding(
            check="clock", outcome="warning" if abs(offset) > _SUSPICIOUS_OFFSET else "passed", finding=finding
        )
    return Finding(check="clock", outcome="skipped", finding="no key endpoint told the time")


class _NotingFetch(HTTPSFetch):
    """Fetch as a verifier does, and note what the endpoint says of the time."""

    date: str | None = None

    def _body(self, response: HTTPResponse) -> bytes:
        self.date = response.getheader("Date")
        return super()._body(response)


def _fetched(uri: str, *, clock: Callable[[], float], patience: float) -> _Probe:
    """Fetch a document; whatever goes wrong is told in what is returned."""
    probe = _Probe()
    # On a thread that may be left behind: looking a name up can't be interrupted.
    thread = Thread(target=_fetch, args=(uri, clock, patience, probe), daemon=True)
    thread.start()
    thread.join(patience + _GRACE)
    return _Probe() if thread.is_alive() else probe


def _fetch(uri: str, clock: Callable[[], float], patience: float, probe: _Probe) -> None:
    fetch, began = _NotingFetch(), time.monotonic()
    try:
        probe.body = fetch(uri, patience)
    except FetchError as error:
        probe.problem, probe.refused = str(error), error.refused
    probe.seconds, probe.ended_at, probe.date = time.monotonic() - began, clock(), fetch.date
