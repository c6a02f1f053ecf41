"""Who is calling: a key joined with its project, its organization and its owner, and until when it may pass."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from common.client_address import Network, parse_network
from common.contracts.directory import LIMIT_NAMES, KeyRecord, Limits, MemberRecord, OrganizationRecord, ProjectRecord

Record = KeyRecord | ProjectRecord | OrganizationRecord | MemberRecord
FOR_EVER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Caller:
    """A key's record with those it belongs to. It may pass before `closes_at` (Unix milliseconds), 0 = not at all."""

    key: KeyRecord
    project: ProjectRecord
    organization: OrganizationRecord
    owner: MemberRecord | None
    closes_at: int
    is_endless: bool
    scopes: frozenset[str] | None
    networks: tuple[Network, ...] | None
    confined: bool
    """Whether scopes or networks say anything: one look tells most requests that there is nothing more to ask."""
    counts_end_users: bool
    """Whether end users have limits, by the project or the organization."""

    def is_live(self, now_ms: int) -> bool:
        """Neither revoked, suspended nor expired, at any level."""
        return now_ms < self.closes_at

    def rests_on(self, record: Record) -> bool:
        """Whether a record is one that this caller was joined from, in whatever version."""
        match record:
            case KeyRecord():
                return self.key.key_id == record.key_id
            case ProjectRecord():
                return self.project.project_id == record.project_id
            case OrganizationRecord():
                return self.organization.organization_id == record.organization_id
            case MemberRecord():
                return self._owner_is(record)

    def _owner_is(self, record: MemberRecord) -> bool:
        owner = self.owner
        return owner is not None and (owner.organization_id, owner.member_id) == (record.organization_id, record.member_id)


def join(key: KeyRecord, project: ProjectRecord, organization: OrganizationRecord, owner: MemberRecord | None) -> Caller:
    """Work out once what the records say together."""
    is_open = all(record is None or record.status == "active" for record in (key, project, organization, owner))
    closes_at = 0 if not is_open else FOR_EVER if key.expires_at is None else key.expires_at
    scopes = None if key.scopes is None else frozenset(key.scopes)
    networks = None if key.networks is None else tuple(_readable(key.networks))
    confined = scopes is not None or networks is not None
    end_users = _has_limits(project.end_user_limits) or _has_limits(organization.end_user_limits)
    return Caller(key, project, organization, owner, closes_at, closes_at == FOR_EVER, scopes, networks, confined, end_users)


def _has_limits(limits: Limits) -> bool:
    return any(getattr(limits, name) is not None for name in LIMIT_NAMES)


def _readable(blocks: Iterable[str]) -> Iterator[Network]:
    """What cannot be read lets nobody in."""
    for block in blocks:
        with suppress(ValueError):
            yield parse_network(block)
