"""The audit log in SQL: only ever inserted, in the transaction of the change that it tells of."""

from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.audit import Action, difference, shown
from accounts.domain.principal import Principal
from accounts.outbound.tables import audit_log
from common.contracts.identifiers import uuid7

LONGEST = 512

_MAY_REWRITE = text("""
    SELECT has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE') OR pg_has_role(relowner, 'MEMBER')
    FROM pg_class WHERE oid = 'audit_log'::regclass
""")


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


async def may_rewrite(connection: AsyncConnection) -> bool:
    """Whether the role that we are has, or could give itself, more than reading the log and adding to it."""
    return bool((await connection.execute(_MAY_REWRITE)).scalar_one())


def _states(before: object, after: object) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if before is not None and after is not None:
        return difference(before, after)
    return None if before is None else shown(before), None if after is None else shown(after)
