"""List entries of the audit log."""

from accounts.domain.audit import AuditEntry, AuditFilter
from accounts.domain.page import Page, PageAsk
from accounts.domain.principal import Principal
from accounts.outbound.audit_entries import entries_page
from accounts.use_cases.authorize_audit import authorize_audit
from accounts.use_cases.context import Context


async def list_audit(
    context: Context, caller: Principal, organization_id: str | None, ask: PageAsk, only: AuditFilter
) -> Page[AuditEntry]:
    """One page, newest first. Raises NotFound, Forbidden."""
    async with context.engine.begin() as connection:
        await authorize_audit(connection, caller, organization_id)
        return await entries_page(connection, organization_id, only, ask)
