"""One booked request as the event that reported it."""

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from common.contracts.events import RequestSettled

# The index is on project and request id; a request is a few at most (a repeat has its own event).
FIND = """
SELECT
    event_id::text, request_id, gateway, boot, organization_id, project_id, key_id, endpoint, model_requested, status, http_status,
    (extract(epoch FROM admitted_at) * 1000)::bigint AS admitted_at, (extract(epoch FROM finished_at) * 1000)::bigint AS finished_at,
    period_day::text, period_month, model, tier, stream, cache, error_code, owner_id, end_user, tags, latency_us, ttft_us,
    prompt_tokens, completion_tokens, cached_prompt_tokens, reasoning_tokens, usage_source, cost_nanousd, cost_status,
    upstream_cost_nanousd, price_version, hold_tokens, hold_nanousd, saved_tokens, saved_nanousd, attempts, end_user_counted, decision
FROM requests
WHERE project_id = %s AND request_id = %s
ORDER BY event_id DESC
LIMIT 1
"""


async def find(connection: AsyncConnection, project_id: str, request_id: str) -> RequestSettled | None:
    """The newest event of a project's request."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(FIND, (project_id, request_id))
        row = await cursor.fetchone()
    return None if row is None else msgspec.convert(row, RequestSettled)
