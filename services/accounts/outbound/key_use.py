"""When keys were last used, in SQL: apart from their other fields, since it is no change of the key."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Rows are locked in the order of their ids, so that two such statements never wait for each other in a circle.
PUT = text("""
WITH marks AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:moments AS timestamptz[])) AS marks(id, at)
), later AS (
    SELECT k.id, m.at FROM api_keys k JOIN marks m ON m.id = k.id
    WHERE k.last_used_at IS NULL OR k.last_used_at < m.at
    ORDER BY k.id FOR NO KEY UPDATE OF k
)
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, later.at) FROM later WHERE k.id = later.id
""")


async def put_last_used(connection: AsyncConnection, marks: Mapping[str, datetime]) -> None:
    """Later moments win, earlier and unknown ones change nothing."""
    if marks:
        await connection.execute(PUT, {"ids": list(marks), "moments": list(marks.values())})
