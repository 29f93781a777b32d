"""
Tell drf-spectacular how CognitoAuthentication works, and which scopes an operation needs.

An OAuth 2.0 scheme where `SPECTACULAR_SETTINGS["OAUTH2_FLOWS"]` names flows, otherwise a bearer token.
`cognito_guard.django` in INSTALLED_APPS loads this by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.settings import spectacular_settings

from ..openapi import security_scheme
from .demands import requirement_of

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


class CognitoScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describe CognitoAuthentication in OpenAPI."""

    target_class: str | type[object] | None = "cognito_guard.drf.CognitoAuthentication"
    name: str | list[str] = "cognito"
    match_subclasses = True

    def get_security_requirement(self, auto_schema: AutoSchema) -> dict[str, list[Any]]:
        """Return the scheme with the scopes that the operation needs."""
        needed = requirement_of(auto_schema.view).needed_scopes
        # Before OpenAPI 3.1 only OAuth 2.0 schemes may list scopes.
        may_list = spectacular_settings.OAUTH2_FLOWS or not spectacular_settings.OAS_VERSION.startswith("3.0")
        return {"cognito": list(needed) if may_list else []}

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the scheme itself."""
        if not spectacular_settings.OAUTH2_FLOWS:
            return security_scheme(domain=None, scopes={}, description=None)
        endpoints: dict[str, Any] = {
            "authorizationUrl": spectacular_settings.OAUTH2_AUTHORIZATION_URL,
            "tokenUrl": spectacular_settings.OAUTH2_TOKEN_URL,
            "refreshUrl": spectacular_settings.OAUTH2_REFRESH_URL,
            "scopes": spectacular_settings.OAUTH2_SCOPES or {},
        }
        given = {name: value for name, value in endpoints.items() if value is not None}
        return {"type": "oauth2", "flows": dict.fromkeys(spectacular_settings.OAUTH2_FLOWS, given)}
