"""
Let Django's own permission questions be answered from the caller's token.

In AUTHENTICATION_BACKENDS it serves users that a resolver found; CognitoUser asks it by itself.
"""

from __future__ import annotations

from typing import Any

from .permissions import grants_of


# No subclass of Django's BaseBackend, whose module can't be imported before the apps are loaded, and whose
# async methods run the plain ones in a thread.
class CognitoBackend:
    """Answer permission questions for users who came in by a token; permissions on single objects there are none."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        """Log nobody in: tokens are judged per request, and no password opens anything here."""

    async def aauthenticate(self, request: Any, **credentials: Any) -> None:
        """Log nobody in."""

    def get_user(self, user_id: Any) -> None:
        """Restore nobody from a session."""

    async def aget_user(self, user_id: Any) -> None:
        """Restore nobody from a session."""

    def get_user_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the permissions that the caller's scopes stand for."""
        grants = grants_of(user_obj)
        return set() if grants is None or obj is not None or not user_obj.is_active else grants.of_scopes()

    async def aget_user_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the permissions that the caller's scopes stand for."""
        return self.get_user_permissions(user_obj, obj)

    def get_group_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the permissions of the Django groups that the caller's groups stand for."""
        grants = grants_of(user_obj)
        return set() if grants is None or obj is not None or not user_obj.is_active else grants.of_groups()

    async def aget_group_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the permissions of the Django groups that the caller's groups stand for."""
        grants = grants_of(user_obj)
        return set() if grants is None or obj is not None or not user_obj.is_active else await grants.aof_groups()

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return both kinds."""
        return self.get_user_permissions(user_obj, obj) | self.get_group_permissions(user_obj, obj)

    async def aget_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return both kinds."""
        of_groups = await self.aget_group_permissions(user_obj, obj)
        return self.get_user_permissions(user_obj, obj) | of_groups

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Tell whether the caller has a permission."""
        return perm in self.get_all_permissions(user_obj, obj)

    async def ahas_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Tell whether the caller has a permission."""
        return perm in await self.aget_all_permissions(user_obj, obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Tell whether the caller has any permission of an app."""
        return _any_of(app_label, self.get_all_permissions(user_obj))

    async def ahas_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Tell whether the caller has any permission of an app."""
        return _any_of(app_label, await self.aget_all_permissions(user_obj))


def _any_of(app_label: str, permissions: set[str]) -> bool:
    return any(permission.partition(".")[0] == app_label for permission in permissions)
