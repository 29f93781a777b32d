"""Issuers that look like the user pool's, and those of its neighbours; the signature is always the pool's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from ...errors import Reason
from ...pool import dns_suffix
from .forge import Case, Forge, swapped_last

_REASON = Reason.WRONG_ISSUER


def issuers(forge: Forge) -> Iterator[Case]:
    """Yield tokens of every issuer but the right one, and one of the pool's second issuer."""
    for name, issuer in {**_look_alikes(forge), **_neighbours(forge)}.items():
        # Of a pool that is told its issuer, a look-alike may be the very same text.
        if issuer not in forge.issuers:
            why = "`iss` is compared byte for byte, and before any key is looked for (RFC 8725 §3.8)."
            yield name, forge.signed(claims={"iss": issuer}), _REASON, why
    other = {"iss": swapped_last(forge.pool.issuer)}
    token = forge.signed({"kid": forge.stranger.kid}, other, forge.stranger)
    yield "other-pool-and-its-key", token, _REASON, "All is well with it, in another user pool."
    token = forge.signed(claims=other, key=forge.stranger)
    yield "other-pool-and-our-key-id", token, _REASON, "The same with a key ID of this pool."
    for issuer in _other_form(forge):
        why = "A pool may sign as either of its issuers, and its keys are the same."
        yield "in-the-other-form", forge.signed(claims={"iss": issuer}), None, why
        why = "The other form names another pool."
        yield "other-pool-in-the-other-form", forge.signed(claims={"iss": swapped_last(issuer)}), _REASON, why


def _other_form(forge: Forge) -> tuple[str, ...]:
    """Return the second of Cognito's two issuers, which a pool that is told its issuer has not."""
    return tuple(issuer for issuer in forge.issuers if issuer != forge.pool.issuer)


def _look_alikes(forge: Forge) -> Mapping[str, str]:
    issuer = forge.pool.issuer
    scheme, host, path, *_ = urlsplit(issuer)
    return {
        "empty": "",
        "trailing-slash": f"{issuer}/",
        "two-trailing-slashes": f"{issuer}//",
        "http": f"http://{host}{path}",
        "no-scheme": f"{host}{path}",
        "scheme-in-upper-case": issuer.replace(scheme, scheme.upper(), 1),
        "host-in-upper-case": issuer.replace(host, host.upper()),
        "pool-in-other-case": issuer.replace(path, path.swapcase()),
        "all-in-upper-case": issuer.upper(),
        "port": f"{scheme}://{host}:443{path}",
        "other-port": f"{scheme}://{host}:8443{path}",
        "user-in-front": f"{scheme}://attacker.example@{host}{path}",
        "host-as-user": f"{scheme}://{host}@attacker.example{path}",
        "host-as-user-and-password": f"{scheme}://{host}:x@attacker.example{path}",
        "fragment": f"{issuer}#",
        "query": f"{issuer}?",
        "other-host-before-a-fragment": f"https://attacker.example#{issuer}",
        "other-host-before-a-query": f"https://attacker.example/?{issuer}",
        "other-host-before-a-path": f"https://attacker.example/{issuer}",
        "backslash": f"{scheme}://attacker.example\\@{host}{path}",
        "sub-domain": f"{scheme}://x.{host}{path}",
        "sub-domain-of-another-host": f"{scheme}://{host}.attacker.example{path}",
        "host-with-a-prefix": f"{scheme}://x{host}{path}",
        "host-with-a-trailing-dot": f"{scheme}://{host}.{path}",
        "full-width-dot": f"{scheme}://{host.replace('.', chr(0xFF0E), 1)}{path}",
        "ideographic-dot": f"{scheme}://{host.replace('.', chr(0x3002), 1)}{path}",
        "cyrillic-letter": issuer.replace("o", chr(0x043E), 1),
        "combining-mark": f"{issuer}{chr(0x0301)}",
        "zero-width-space": f"{issuer}{chr(0x200B)}",
        "dot-segment": f"{scheme}://{host}/.{path}",
        "parent-segment": f"{scheme}://{host}/x/..{path}",
        "two-slashes": f"{scheme}://{host}/{path}",
        "percent-encoded": f"{scheme}://{host}{path.replace('_', '%5F')}",
        "blank-before": f" {issuer}",
        "blank-after": f"{issuer} ",
        "line-break-after": f"{issuer}\n",
        "line-break-within": f"{scheme}://{host}\n{path}",
        "nul-after": f"{issuer}\0",
        "cut-short": issuer[:-1],
        "longer": f"{issuer}1",
        "one-character": issuer[0],
        "part-of-it": path.strip("/"),
        "twice": f"{issuer},{issuer}",
        "twice-with-a-blank": f"{issuer} {issuer}",
        "json-list": f'["{issuer}"]',
        "key-set": f"{issuer}/.well-known/jwks.json",
        "discovery": f"{issuer}/.well-known/openid-configuration",
        "pattern": ".*",
        "wildcard": "*",
    }


def _neighbours(forge: Forge) -> Mapping[str, str]:
    """Return issuers that sign as well, and are none of this pool's."""
    pool_id = forge.pool.user_pool_id
    region = pool_id.rpartition("_")[0]
    other_region = "us-east-1" if region != "us-east-1" else "us-west-2"
    suffix, host = dns_suffix(region), f"cognito-idp.{region}"
    return {
        "other-pool": swapped_last(forge.pool.issuer),
        "other-region": f"https://cognito-idp.{other_region}.{suffix}/{other_region}_{pool_id.rpartition('_')[2]}",
        "replica": f"https://cognito-idp.{other_region}.{suffix}/{pool_id}",
        "replica-in-the-updated-form": f"https://issuer-cognito-idp.{other_region}.{suffix}/{pool_id}",
        "china": f"https://{host}.amazonaws.com.cn/{pool_id}",
        "commercial-or-sovereign": f"https://{host}.amazonaws.{'com' if suffix.endswith('.eu') else 'eu'}/{pool_id}",
        "fips": f"https://cognito-idp-fips.{region}.{suffix}/{pool_id}",
        "dual-stack": f"https://{host}.api.aws/{pool_id}",
        "hosted-login": f"https://example.auth.{region}.amazoncognito.com",
        "custom-domain": "https://auth.example.com",
        "identity-pool": "https://cognito-identity.amazonaws.com",
        "google": "https://accounts.google.com",
        "saml": f"urn:amazon:cognito:sp:{pool_id}",
        "emulator": f"http://localhost:9229/{pool_id}",
    }
