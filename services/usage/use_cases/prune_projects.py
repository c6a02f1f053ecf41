"""Delete the raw requests that their project keeps for a shorter time than the installation; all that was counted stays."""

import logging
from datetime import date

from usage.outbound import project_retention
from usage.outbound.database import Database

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 5_000
MOST_TRANSACTIONS = 1_000


async def prune_projects(
    database: Database,
    today: date,
    kept_days: int,
    *,
    rows_at_once: int = ROWS_AT_ONCE,
    most_transactions: int = MOST_TRANSACTIONS,
) -> int:
    """How many rows were deleted; what is beyond the bound waits for the next time. Raises one of database.TRANSIENT.

    Rows booked within the last minute wait as well.
    """
    async with database.transaction() as connection:
        projects = await project_retention.due(connection, today, kept_days)
        await project_retention.announce(connection, projects)
    deleted, left = 0, most_transactions
    for project in projects:
        while left > 0:
            left -= 1
            async with database.transaction() as connection:
                rows = await project_retention.delete_some(connection, project, rows_at_once)
            if rows is None:
                break
            deleted += rows
    if deleted or left == 0:
        log.info("requests: deleted past their project's retention", extra={"rows": deleted, "finished": left > 0})
    return deleted
