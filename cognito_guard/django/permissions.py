"""
Which of Django's permissions a caller has: those that the settings say, and nothing else.

No claim makes anybody staff or superuser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..principal import Principal
from .conf import configuration

if TYPE_CHECKING:
    from django.contrib.auth.models import Group
    from django.db.models import QuerySet

_GRANTS = "cognito_grants"


class Grants:
    """Hold what one caller's token grants; Django groups are looked up once, when first asked for."""

    def __init__(self, principal: Principal) -> None:
        """Take the caller."""
        self.principal = principal
        self._of_groups: set[str] | None = None

    @property
    def django_groups(self) -> QuerySet[Group]:
        """The Django groups that the caller's Cognito groups stand for (`GROUP_MAP`)."""
        # Django's models can't be imported before its apps are loaded.
        from django.contrib.auth.models import Group

        return Group.objects.filter(name__in=self._group_names())

    def of_scopes(self) -> set[str]:
        """Return the permissions that the caller's scopes stand for (`PERMISSION_MAP`)."""
        now = configuration()
        granted = now.guard.verifier.granted_scopes(self.principal)
        return {permission for scope in granted for permission in now.permission_map.get(scope, ())}

    def of_groups(self) -> set[str]:
        """Return the permissions of the caller's Django groups."""
        if self._of_groups is None:
            self._of_groups = set(map(".".join, self._rows())) if self._group_names() else set()
        return self._of_groups

    async def aof_groups(self) -> set[str]:
        """Return what `of_groups` does, for async views."""
        if self._of_groups is None:
            self._of_groups = {".".join(row) async for row in self._rows()} if self._group_names() else set()
        return self._of_groups

    def _group_names(self) -> set[str]:
        group_map = configuration().group_map
        return {name for group in self.principal.groups for name in group_map.get(group, ())}

    def _rows(self) -> QuerySet[Any, tuple[str, str]]:
        from django.contrib.auth.models import Permission

        held = Permission.objects.filter(group__in=self.django_groups).order_by()
        return held.values_list("content_type__app_label", "codename")


def bind(user: Any, principal: Principal) -> None:
    """Let a user have what this caller's token grants, as long as the user object lives: one request."""
    setattr(user, _GRANTS, Grants(principal))


def grants_of(user: Any) -> Grants | None:
    """Return what a user was granted by a token, or None for one who came in otherwise."""
    grants = getattr(user, _GRANTS, None)
    return grants if isinstance(grants, Grants) else None
