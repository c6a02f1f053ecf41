"""The audit log in SQL: only ever inserted, in the transaction of the change that it tells of."""

from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import Action, difference, shown
from accounts.domain.principal import Principal
from accounts.outbound.tables import audit_log
from common.contracts.identifiers import uuid7

LONGEST = 512


async def note(
    connection: AsyncConnection,
    caller: Principal,
    action: Action,
    object_id: str | None,
    *,
    organization_id: str | None = None,
    before: object = None,
    after: object = None,
) -> None:
    """Write a line. `before` and `after` are the object's states (structs or dicts); secrets in them are left out.

    The kind of the object is the first word of the action.
    """
    old, new = _states(before, after)
    await connection.execute(
        insert(audit_log).values(
            id=uuid7(),
            organization_id=organization_id,
            actor_kind=caller.kind,
            actor_id=caller.id,
            actor_name=caller.name[:LONGEST],
            action=action,
            object_kind=action.partition(".")[0],
            object_id=object_id,
            address=caller.origin.address[:LONGEST],
            agent=caller.origin.agent[:LONGEST],
            request_id=caller.origin.request_id[:LONGEST],
            before=old,
            after=new,
        )
    )


def _states(before: object, after: object) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if before is not None and after is not None:
        return difference(before, after)
    return None if before is None else shown(before), None if after is None else shown(after)
