"""
The user that stands for a caller: a stateless one, or one of the application's own.

`USER_RESOLVER` names a function from a principal to a user, or None for "no account here"; two are given here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from ..principal import Principal
from .backends import CognitoBackend
from .permissions import Grants

if TYPE_CHECKING:
    from django.contrib.auth.models import Group
    from django.db.models import QuerySet

_backend = CognitoBackend()


class CognitoUser:
    """
    Be `request.user` for a verified caller without any row in the database.

    Never staff and never superuser; permissions are those of `PERMISSION_MAP` and `GROUP_MAP`.
    """

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True
    is_staff: ClassVar[bool] = False
    is_superuser: ClassVar[bool] = False

    def __init__(self, principal: Principal) -> None:
        """Take the caller."""
        self.principal = principal
        self.cognito_grants: Grants = Grants(principal)

    @property
    def pk(self) -> str:
        """The caller's subject."""
        return self.principal.subject

    id = pk

    @property
    def username(self) -> str:
        """The caller's name in the user pool, or a machine's client ID; not an identity, as it can change hands."""
        return self.principal.display_name

    @property
    def groups(self) -> QuerySet[Group]:
        """The Django groups that the caller's groups stand for; `principal.groups` holds Cognito's own."""
        return self.cognito_grants.django_groups

    def get_username(self) -> str:
        """Return the username."""
        return self.username

    def get_user_permissions(self, obj: Any = None) -> set[str]:
        """Return the permissions that the caller's scopes stand for."""
        return _backend.get_user_permissions(self, obj)

    async def aget_user_permissions(self, obj: Any = None) -> set[str]:
        """Return the permissions that the caller's scopes stand for."""
        return await _backend.aget_user_permissions(self, obj)

    def get_group_permissions(self, obj: Any = None) -> set[str]:
        """Return the permissions of the caller's Django groups."""
        return _backend.get_group_permissions(self, obj)

    async def aget_group_permissions(self, obj: Any = None) -> set[str]:
        """Return the permissions of the caller's Django groups."""
        return await _backend.aget_group_permissions(self, obj)

    def get_all_permissions(self, obj: Any = None) -> set[str]:
        """Return both kinds."""
        return _backend.get_all_permissions(self, obj)

    async def aget_all_permissions(self, obj: Any = None) -> set[str]:
        """Return both kinds."""
        return await _backend.aget_all_permissions(self, obj)

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Tell whether the caller has a permission; on a single object nobody has any."""
        return _backend.has_perm(self, perm, obj)

    async def ahas_perm(self, perm: str, obj: Any = None) -> bool:
        """Tell whether the caller has a permission."""
        return await _backend.ahas_perm(self, perm, obj)

    def has_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool:
        """Tell whether the caller has all of these permissions."""
        return self.get_all_permissions(obj).issuperset(_several(perm_list))

    async def ahas_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool:
        """Tell whether the caller has all of these permissions."""
        return (await self.aget_all_permissions(obj)).issuperset(_several(perm_list))

    def has_module_perms(self, app_label: str) -> bool:
        """Tell whether the caller has any permission of an app."""
        return _backend.has_module_perms(self, app_label)

    async def ahas_module_perms(self, app_label: str) -> bool:
        """Tell whether the caller has any permission of an app."""
        return await _backend.ahas_module_perms(self, app_label)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CognitoUser):
            return NotImplemented
        one, another = self.principal, other.principal
        return (one.user_pool_id, one.subject) == (another.user_pool_id, another.subject)

    def __hash__(self) -> int:
        return hash((self.principal.user_pool_id, self.pk))

    def __str__(self) -> str:
        return self.username

    def __repr__(self) -> str:
        return f"<CognitoUser {self.principal!r}>"


def _several(perm_list: Iterable[str]) -> Iterable[str]:
    if isinstance(perm_list, str):
        # As Django does: the letters of one permission would be compared.
        raise ValueError("perm_list must be an iterable of permissions")  # noqa: TRY004
    return perm_list
