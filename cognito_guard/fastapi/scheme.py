"""The guard's security scheme, as FastAPI shows it in OpenAPI."""

# No postponed annotations: not every FastAPI can evaluate those of an object's `__call__`.
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

from fastapi import Security
from fastapi.openapi.models import HTTPBearer, OAuth2
from fastapi.openapi.models import SecurityBase as SecurityBaseModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from ..errors import ConfigurationError
from ..openapi import security_scheme

T = TypeVar("T")
_Answer: TypeAlias = Callable[[HTTPConnection, SecurityScopes], Awaitable[T]]


class Described(SecurityBase):
    """A dependency that stands in OpenAPI as a security scheme."""

    def __init__(self, model: SecurityBaseModel, scheme_name: str) -> None:
        """Take the scheme and its name."""
        self.model: SecurityBaseModel = model
        self.scheme_name: str = scheme_name


class Scheme(Described):
    """A dependency that does nothing but stand in OpenAPI, below one that guards and can't stand there itself."""

    def __init__(self, name: str, *, domain: str | None, scopes: Mapping[str, str], description: str | None) -> None:
        """Take what `security_scheme` takes and a name; raise ConfigurationError for what OpenAPI can't hold."""
        if not isinstance(name, str) or not name:
            raise ConfigurationError("scheme_name", "expected a name")
        if description is not None and not isinstance(description, str):
            raise ConfigurationError("description", f"expected words, got {type(description).__name__}")
        scheme = security_scheme(domain=domain, scopes=scopes, description=description)
        super().__init__((HTTPBearer if domain is None else OAuth2).model_validate(scheme), name)

    async def __call__(self) -> None:
        """Let everybody through."""

    def shown_by(self, answer: _Answer[T], scopes: Sequence[str] = ()) -> Callable[..., Awaitable[T]]:
        """Return a dependency that answers so, and shows the scheme in OpenAPI, with the scopes."""
        if not scopes:
            return _Shown(self, answer)

        # Only a dependency below has scopes of its own; without any, each request is spared what that costs, which
        # is more than a token seen before.
        async def showing(
            connection: HTTPConnection, asked: SecurityScopes, _: None = Security(self, scopes=scopes)
        ) -> T:
            return await answer(connection, asked)

        return showing


class _Shown(Described, Generic[T]):
    """A dependency that stands in OpenAPI itself."""

    def __init__(self, scheme: Scheme, answer: _Answer[T]) -> None:
        super().__init__(scheme.model, scheme.scheme_name)
        self._answer = answer

    async def __call__(self, connection: HTTPConnection, asked: SecurityScopes) -> T:
        return await self._answer(connection, asked)
