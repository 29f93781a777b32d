"""The guard's security scheme, as FastAPI shows it in OpenAPI."""

# No postponed annotations: not every FastAPI can evaluate those of an object's `__call__`.
from collections.abc import Mapping

from fastapi.openapi.models import HTTPBearer, OAuth2
from fastapi.security.base import SecurityBase

from ..openapi import security_scheme


class Scheme(SecurityBase):
    """A dependency that does nothing but stand in OpenAPI, below one that guards and can't stand there itself."""

    def __init__(self, name: str, *, domain: str | None, scopes: Mapping[str, str], description: str | None) -> None:
        """Take what `security_scheme` takes, and raise what it raises."""
        scheme = security_scheme(domain=domain, scopes=scopes, description=description)
        self.model = (HTTPBearer if domain is None else OAuth2).model_validate(scheme)
        self.scheme_name = name

    async def __call__(self) -> None:
        """Let everybody through."""
