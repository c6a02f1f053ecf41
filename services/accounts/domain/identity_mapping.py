"""Which membership follows from the domain and the groups that an identity provider vouches for.

The mapping replaces only what it has set itself. What people change by hand — another role, a suspension, a removal — stays as
they left it, until by hand it is made what the mapping would make of it; then the mapping goes on from there. Owners are beyond it.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, get_args

import msgspec

from common.contracts.roles import Role

MappedRole = Literal["admin", "developer", "billing", "viewer"]
"""What a mapping may give: never owner. Highest first."""

NOTHING = "none"
"""The `mapped_role` of a membership that the mapping has suspended."""

DOMAIN_PATTERN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$"
LONGEST_DOMAIN = 253
LONGEST_EMAIL = 254
_LOCAL_PART = re.compile(r"[^\s@\x00-\x1f\x7f\ud800-\udfff]{1,64}")


class DomainMapping(msgspec.Struct, frozen=True, kw_only=True):
    """People whom the provider vouches for with an address in the domain belong to the organization. `default_role` is for those
    without a mapped group; None = they do not."""

    domain: str
    organization_id: str
    provider: str
    default_role: MappedRole | None
    created_at: datetime


class GroupRole(msgspec.Struct, frozen=True, kw_only=True):
    """People of a mapped domain who are in the provider's group have the role."""

    organization_id: str
    provider: str
    group: str
    role: MappedRole


class Standing(msgspec.Struct, frozen=True):
    """What of a membership the mapping looks at, and sets."""

    role: Role
    status: Literal["active", "suspended", "ended"]
    mapped_role: str | None


def domain_of(email: str) -> str | None:
    """The domain of a plain address in lower case; None when it is not one."""
    local, _, domain = email.partition("@")
    domain = domain.lower()
    well_formed = len(email) <= LONGEST_EMAIL and _LOCAL_PART.fullmatch(local) and re.fullmatch(DOMAIN_PATTERN, domain)
    return domain if well_formed else None


def role_by_mapping(
    groups: Iterable[str], group_roles: Mapping[str, MappedRole], default: MappedRole | None
) -> MappedRole | None:
    """The highest role of the groups that are mapped; when none is, the domain's default (None = no membership)."""
    matching = {group_roles[group] for group in groups if group in group_roles}
    return next((role for role in get_args(MappedRole) if role in matching), default)


def next_standing(present: Standing | None, wanted: MappedRole | None) -> Standing | None:
    """What a membership becomes at a sign-in for which the mapping yields `wanted`; None = it stays as it is (or is none).

    Without a role a membership is suspended, not ended: its keys live again when a group brings a role again.
    """
    if present is None:
        return None if wanted is None else Standing(wanted, "active", wanted)
    if not _belongs_to_mapping(present, wanted):
        return None
    after = Standing(present.role, "suspended", NOTHING) if wanted is None else Standing(wanted, "active", wanted)
    return None if after == present else after


def _belongs_to_mapping(present: Standing, wanted: MappedRole | None) -> bool:
    if present.role == "owner":
        return False
    match present.status:
        case "active":
            return present.role in (present.mapped_role, wanted)
        case "suspended":
            return present.mapped_role == NOTHING
        case "ended":
            return False
