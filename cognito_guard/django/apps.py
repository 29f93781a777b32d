"""The Django app, which adds the system checks and what other apps can use."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig, apps
from django.core.checks import Tags, register

from .checks import check_middleware, check_settings


class CognitoGuardConfig(AppConfig):
    """Be the app `cognito_guard`."""

    name = "cognito_guard.django"
    label = "cognito_guard"

    def ready(self) -> None:
        """Register the checks, and the extension of drf-spectacular where that is installed."""
        register(check_settings, Tags.security)
        register(check_middleware, Tags.security)
        if apps.is_installed("drf_spectacular"):
            import_module("cognito_guard.drf.spectacular")
