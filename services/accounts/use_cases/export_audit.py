"""Export entries of the audit log, however many there are."""

from collections.abc import AsyncIterator

from accounts.domain.audit import AuditEntry, AuditFilter
from accounts.domain.principal import Principal
from accounts.outbound.audit_entries import entries_before
from accounts.use_cases.authorize_audit import authorize_audit
from accounts.use_cases.context import Context

BATCH = 500


async def export_audit(
    context: Context, caller: Principal, organization_id: str | None, only: AuditFilter
) -> AsyncIterator[list[AuditEntry]]:
    """Newest first, in batches, of which there is always at most one in memory. Raises NotFound, Forbidden before the first.

    Between two batches no connection is held, so that slow readers cannot take all of them.
    """
    async with context.engine.begin() as connection:
        await authorize_audit(connection, caller, organization_id)
    return _batches(context, organization_id, only)


async def _batches(context: Context, organization_id: str | None, only: AuditFilter) -> AsyncIterator[list[AuditEntry]]:
    place = None
    while True:
        async with context.engine.begin() as connection:
            batch = await entries_before(connection, organization_id, only, BATCH, place)
        if batch:
            yield batch
        if len(batch) < BATCH:
            return
        place = (batch[-1].at, batch[-1].id)
