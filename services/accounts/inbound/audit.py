"""The audit log over HTTP: an organization's, and the installation's for operators."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from accounts.domain.audit import Action, AuditEntry, AuditFilter
from accounts.domain.principal import Principal
from accounts.inbound.audit_shapes import HEADERS, MEDIA_TYPES, RENDERERS, AuditAnswer, Format
from accounts.inbound.caller import Caller, CurrentContext
from accounts.inbound.wire import Identifier, Listing, Moment, PageWanted, Text, listing
from accounts.use_cases.context import Context
from accounts.use_cases.export_audit import export_audit
from accounts.use_cases.list_audit import list_audit

READ = {"x-permission": "audit.read"}
OPERATOR = {"x-permission": "operator"}
MOST_ACTIONS = 50

router = APIRouter(prefix="/api/v1/organizations/{organization_id}/audit", tags=["audit"])
installation_router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


async def _filter(
    action: Annotated[
        list[Action], Query(max_length=MOST_ACTIONS, description="Only these actions; may be given several times")
    ] = [],  # noqa: B006 - FastAPI copies it
    actor_id: Annotated[UUID | None, Query(description="Only what this user or service account did")] = None,
    object_id: Annotated[Text | None, Query(max_length=512, description="Only what was done to exactly this object")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="Only what was done then or later")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Only what was done before that")] = None,
) -> AuditFilter:
    """Conditions that must all hold."""
    return AuditFilter(
        actions=tuple(action),
        actor_id=None if actor_id is None else str(actor_id),
        object_id=object_id,
        since=since,
        until=until,
    )


AuditWanted = Annotated[AuditFilter, Depends(_filter)]
FormatWanted = Annotated[Format, Query(alias="format", description="`ndjson`: the list's objects, one a line; `csv`: flat")]
FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file that is sent while it is read; cut off when that fails, which the connection tells.",
        "content": {media: {"schema": {"type": "string"}} for media in ("application/x-ndjson", "text/csv")},
    }
}


@router.get("", summary="The audit log of an organization", openapi_extra=READ)
async def index(
    context: CurrentContext, caller: Caller, organization_id: Identifier, page: PageWanted, only: AuditWanted
) -> Listing[AuditAnswer]:
    """Newest first: every change of what belongs to the organization, whoever made it. All conditions must hold.

    The service never changes or removes an entry. One appears when its change is committed: whoever fetches by time lets the
    periods overlap by a minute, and knows by `id` what is there already.
    """
    return listing(await list_audit(context, caller, str(organization_id), page, only), AuditAnswer)


@router.get(
    "/export",
    summary="Export the audit log of an organization",
    openapi_extra=READ,
    response_class=StreamingResponse,
    responses=FILE,
)
async def export(
    context: CurrentContext,
    caller: Caller,
    organization_id: Identifier,
    only: AuditWanted,
    file_format: FormatWanted = "ndjson",
) -> StreamingResponse:
    """The same entries, as a file. In CSV, cells that a spreadsheet would take for a formula begin with an apostrophe."""
    return await _file(context, caller, str(organization_id), only, file_format)


@installation_router.get("", summary="The audit log of the installation", openapi_extra=OPERATOR)
async def installation_index(
    context: CurrentContext, caller: Caller, page: PageWanted, only: AuditWanted
) -> Listing[AuditAnswer]:
    """Newest first: what belongs to no organization, that is users and their passwords and tokens, sign-ins, refused ones as well,
    sign-outs, the bootstrap, and repairs of the whole directory. What belongs to an organization is read there, by its own people.
    """
    return listing(await list_audit(context, caller, None, page, only), AuditAnswer)


@installation_router.get(
    "/export",
    summary="Export the audit log of the installation",
    openapi_extra=OPERATOR,
    response_class=StreamingResponse,
    responses=FILE,
)
async def installation_export(
    context: CurrentContext, caller: Caller, only: AuditWanted, file_format: FormatWanted = "ndjson"
) -> StreamingResponse:
    """The same entries, as a file. In CSV, cells that a spreadsheet would take for a formula begin with an apostrophe."""
    return await _file(context, caller, None, only, file_format)


async def _file(
    context: Context, caller: Principal, organization_id: str | None, only: AuditFilter, file_format: Format
) -> StreamingResponse:
    batches = await export_audit(context, caller, organization_id, only)
    name = f"audit-{organization_id or 'installation'}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{file_format}"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return StreamingResponse(_rendered(batches, file_format), media_type=MEDIA_TYPES[file_format], headers=headers)


async def _rendered(batches: AsyncIterator[list[AuditEntry]], file_format: Format) -> AsyncIterator[bytes]:
    yield HEADERS[file_format]()
    async for batch in batches:
        yield RENDERERS[file_format](batch)
