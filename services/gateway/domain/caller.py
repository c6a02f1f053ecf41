"""Who is calling: a key joined with its project, its organization and its owner, and until when it may pass."""

from dataclasses import dataclass

from common.contracts.directory import KeyRecord, MemberRecord, OrganizationRecord, ProjectRecord

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
    return Caller(key, project, organization, owner, closes_at)
