"""
The application's own user for a caller, made on first sight: for the setting `USER_RESOLVER`.

The key is the user pool and the subject within it, never a name or an e-mail address, which change hands.
"""

from __future__ import annotations

from typing import Any

from ..principal import Principal

__all__ = ["get_or_create_any_by_subject", "get_or_create_by_subject"]


def get_or_create_by_subject(principal: Principal) -> Any:
    """
    Return the user of a person, made on first sight; None for machines, which are no users.

    Its username is "<subject>@<user pool ID>", at most 92 characters of Django's 150; it has no password.
    An account of that name with a password is somebody else's, who took the name beforehand: None.
    """
    return None if principal.is_machine else get_or_create_any_by_subject(principal)


def get_or_create_any_by_subject(principal: Principal) -> Any:
    """Return the user of a person or a machine as `get_or_create_by_subject` does of a person."""
    # Django's models can't be imported before its apps are loaded.
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import make_password

    model: Any = get_user_model()
    username = f"{principal.subject}@{principal.user_pool_id}"
    user, _ = model._default_manager.get_or_create(
        **{model.USERNAME_FIELD: username}, defaults={"password": make_password(None)}
    )
    return None if user.has_usable_password() else user
