"""Who may do what in an organization: the one table of roles and permissions. What is not listed is denied."""

from typing import Literal, get_args

Role = Literal["owner", "admin", "developer", "billing", "viewer"]
Permission = Literal[
    "organization.read",
    "organization.update",
    "organization.close",
    "members.read",
    "members.manage",
    "owners.manage",
    "limits.manage",
    "projects.read",
    "projects.manage",
    "plans.read",
    "plans.manage",
    "keys.read",
    "keys.issue",
    "keys.manage",
    "service_accounts.read",
    "service_accounts.manage",
    "audit.read",
    "usage.read",
]

MEANINGS: dict[Permission, str] = {
    "organization.read": "see the organization",
    "organization.update": "change its name, time zone and staleness",
    "organization.close": "suspend it and open it again",
    "members.read": "see members and invitations",
    "members.manage": "invite, change roles below owner, suspend and remove members",
    "owners.manage": "make and unmake owners",
    "limits.manage": "set the limits of the organization and of members",
    "projects.read": "see projects",
    "projects.manage": "create and change projects, their limits and policies",
    "plans.read": "see plans",
    "plans.manage": "create and change plans",
    "keys.read": "see API keys (never their secrets)",
    "keys.issue": "create API keys of one's own, change, rotate and revoke those",
    "keys.manage": "the same for everybody's keys",
    "service_accounts.read": "see service accounts and their tokens (never the secrets)",
    "service_accounts.manage": "create, change and close service accounts and their tokens",
    "audit.read": "read and export the audit log",
    "usage.read": "see usage, cost and requests",
}

_EVERYTHING: frozenset[Permission] = frozenset(get_args(Permission))
_READ: frozenset[Permission] = frozenset({"organization.read", "members.read", "projects.read", "plans.read", "usage.read"})

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "owner": _EVERYTHING,
    "admin": _EVERYTHING - {"owners.manage", "organization.close"},
    "developer": _READ | {"keys.read", "keys.issue", "service_accounts.read"},
    "billing": _READ | {"limits.manage"},
    "viewer": _READ,
}


def permits(role: str | None, permission: Permission) -> bool:
    """Whether a role includes a permission; an unknown role permits nothing."""
    return permission in PERMISSIONS.get(role, frozenset())  # type: ignore[call-overload] # unknown roles are legal input
