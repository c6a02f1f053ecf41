"""Remember when keys were last used, by the minute."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from accounts.outbound.key_use import put_last_used
from accounts.use_cases.context import Context

log = logging.getLogger(__name__)


async def mark_used_keys(context: Context, used: Sequence[tuple[str, int]]) -> None:
    """One statement, which raises no version and announces nothing. Does not raise: what is lost is made good by the next use.

    `used`: key ids and Unix milliseconds. A gateway whose clock runs ahead cannot mark the future.
    """
    now = datetime.now(UTC).timestamp() * 1000
    marks = {key_id: datetime.fromtimestamp(min(at, now) / 1000, UTC) for key_id, at in used if at >= 0 and _is_id(key_id)}
    try:
        async with context.engine.begin() as connection:
            await put_last_used(connection, marks)
    except (SQLAlchemyError, OSError, TimeoutError) as away:
        log.warning("key activity: not remembered: %s", type(away).__name__)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
