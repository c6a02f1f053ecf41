"""Who may do what: the one table of roles and permissions. What is not listed is denied."""

from typing import Literal, get_args

Role = Literal["owner", "admin", "developer", "billing", "viewer"]
Permission = Literal[
    "organization.read",
    "organization.update",
    "members.read",
    "members.manage",
    "projects.read",
    "projects.manage",
    "keys.read",
    "keys.manage",
    "usage.read",
]

_READ: frozenset[Permission] = frozenset({"organization.read", "members.read", "projects.read", "keys.read", "usage.read"})

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "owner": frozenset(get_args(Permission)),
    "admin": frozenset(get_args(Permission)),
    "developer": _READ | {"keys.manage"},
    "billing": frozenset({"organization.read", "projects.read", "usage.read"}),
    "viewer": _READ - {"keys.read"},
}


def permits(role: str | None, permission: Permission) -> bool:
    """Whether a role includes a permission; an unknown role permits nothing."""
    return permission in PERMISSIONS.get(role, frozenset())  # type: ignore[call-overload] # unknown roles are legal input
