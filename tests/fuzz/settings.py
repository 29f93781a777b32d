"""The target that reads settings: environment variables are written by people, and by scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cognito_guard import CognitoVerifier, ConfigurationError

from .oracles import Said, Target, must, said

_PREFIX = "COGNITO_"
_NAMES = (
    *("USER_POOL_ID", "CLIENT_ID", "ISSUER", "JWKS_URI", "ISSUER_FORMAT", "REPLICA_REGIONS", "TOKEN_USE", "RESOURCE"),
    *("RESOURCE_BINDING", "REQUIRED_SCOPES", "LEEWAY", "MAX_TOKEN_AGE", "MAX_TOKEN_LIFETIME", "MAX_TOKEN_BYTES"),
    *("TOKEN_CACHE_SIZE", "ALLOW_INSECURE_HTTP"),
)


def run_settings(data: bytes) -> None:
    """Configure a verifier from an environment; a line is a variable."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    pairs = (line.partition("=") for line in lines)
    environ = {_PREFIX + name: value for name, equals, value in pairs if equals and "\0" not in value}
    must(_verdict(environ) == _verdict(environ), "the same verdict each time")


def _verdict(environ: Mapping[str, str]) -> Said[str]:
    # Its owner may be told what stands there.
    return said(lambda: _configured(environ), (ConfigurationError,), "", lambda _: True)


def _configured(environ: Mapping[str, str]) -> str:
    try:
        pool = CognitoVerifier.from_env(environ=environ).user_pool
    except ConfigurationError as error:
        must(error.setting and error.problem, "the name of the setting and what is wrong with it")
        is_known = error.setting.lower().removeprefix(_PREFIX.lower()).upper() in _NAMES
        is_misspelt = error.setting in environ and error.problem.startswith("no such setting; did you mean ")
        must(is_known or is_misspelt, f"a known setting, or one that is nearly there: {error.setting}")
        raise
    must(pool.issuers, "at least one issuer")
    insecure = environ.get(f"{_PREFIX}ALLOW_INSECURE_HTTP", "").strip().lower() in ("1", "true", "yes")
    for uri in map(str.lower, pool.jwks_uris.values()):
        must(uri.startswith("https://") or (insecure and uri.startswith("http://")), "keys over https")
    return repr(pool)


def _seeds() -> Iterator[bytes]:
    base = "USER_POOL_ID=eu-west-1_AbCdEf123\nCLIENT_ID=1h57kf5cpq17m0eml12example"
    yield base.encode()
    for line in (
        *("CLIENT_ID=a,b, c", "ISSUER=https://issuer.example.com", "ISSUER=http://localhost:4566/x"),
        *("ISSUER=http://[::1", "JWKS_URI=http://localhost:80:80/\nALLOW_INSECURE_HTTP=1"),
        *("JWKS_URI=https://issuer.example.com/jwks.json", "JWKS_URI=http://127.0.0.1:1/x", "JWKS_URI=https://[v1.x]/"),
        *("ISSUER_FORMAT=updated", "REPLICA_REGIONS=eu-central-1,us-east-1", "TOKEN_USE=access,id", "LEEWAY=1e3"),
        *("LEEWAY=nan", "LEEWAY=-0", "MAX_TOKEN_AGE=inf", "MAX_TOKEN_LIFETIME=3600", "MAX_TOKEN_BYTES=999999999999"),
        *("TOKEN_CACHE_SIZE=0", "TOKEN_CACHE_SIZE=\u0661", "RESOURCE=https://a.example.com"),
        *("RESOURCE_BINDING=required", "REQUIRED_SCOPES=a/b,c/d", "ALLOW_INSECURE_HTTP=yes"),
        *("USER_POOL_ID=cn-north-1_x", "USER_POOL_ID=eu-west-1_", "USER_POOL_ID=../x", "USER_POOL_ID=us-gov-west-1_A"),
    ):
        yield f"{base}\n{line}".encode()


SETTINGS = Target(
    run=run_settings,
    seeds=_seeds,
    words=(
        *(f"{name}=".encode() for name in _NAMES),
        *(b"https://", b"http://localhost", b"[::1]", b":99999", b"@", b"\\", b"%", b"\n", b"\xff", b"\xe2\x84\xaa"),
        *(b"eu-west-1_", b"us-gov-west-1_", b"eusc-de-east-1_"),
        *(b"required", b"updated", b"access,id", b"1e999", b"nan"),
    ),
    longest=512,
)
