"""
Configure Django once per process: importing this makes its modules usable, without a settings module.

What a test needs otherwise it overrides, or installs where that must outlast a `with` block.
"""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from django.core.signals import setting_changed
from django.urls import URLPattern

AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
COGNITO = "cognito_guard.django.CognitoMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend", "cognito_guard.django.CognitoBackend"],
        COGNITO_GUARD={"USER_POOL_ID": "eu-west-1_FakePool1", "CLIENT_ID": "1h57kf5cpq17m0eml12example"},
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:cognito_guard?mode=memory&cache=shared"}
        },
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "rest_framework",
            "drf_spectacular",
            "cognito_guard.django",
        ],
        # Sessions without a table.
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=[SESSIONS, CSRF, AUTHENTICATION, COGNITO],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        REST_FRAMEWORK={
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
            "EXCEPTION_HANDLER": "cognito_guard.drf.exception_handler",
        },
        ROOT_URLCONF=(),
        SECRET_KEY="for tests alone",
        USE_TZ=True,
    )
    django.setup()


def install(urls: tuple[URLPattern, ...], middleware: list[str], **cognito_guard: Any) -> None:
    """Serve these URLs behind this middleware until something else is installed."""
    changed = {"ROOT_URLCONF": urls, "MIDDLEWARE": middleware, "COGNITO_GUARD": cognito_guard}
    for name, value in changed.items():
        setattr(settings, name, value)
        setting_changed.send(settings.__class__, setting=name, value=value, enter=True)
