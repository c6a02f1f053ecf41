"""Who is calling: a key joined with its project and organization, and whether it may pass now."""

from dataclasses import dataclass

from common.contracts.directory import KeyRecord, OrganizationRecord, ProjectRecord


@dataclass(frozen=True, slots=True)
class Caller:
    """A key's record with those it belongs to."""

    key: KeyRecord
    project: ProjectRecord
    organization: OrganizationRecord

    def is_live(self, now_ms: int) -> bool:
        """Neither revoked, suspended nor expired, at any level."""
        key = self.key
        return (
            key.status == "active"
            and self.project.status == "active"
            and self.organization.status == "active"
            and (key.expires_at is None or now_ms < key.expires_at)
        )
