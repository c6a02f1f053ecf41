"""Raise an alert for each budget that refuses because it is spent, in the transaction that books the refusals."""

import logging
from collections.abc import Iterable, Iterator, Mapping

from psycopg import AsyncConnection

from usage.domain.alerts import exhausted
from usage.domain.refusals import Budget, refused_needs
from usage.domain.settled_rows import SettledRow
from usage.outbound import alerts_store
from usage.outbound.database import FAILURES
from usage.outbound.ledger_store import Standing, standings
from usage.use_cases.counters import ALERTS_RAISED
from usage.use_cases.raise_alerts import row_of, spendings

log = logging.getLogger(__name__)


async def raise_exhausted(connection: AsyncConnection, rows: Iterable[SettledRow]) -> None:
    """To be called when the rows have been booked; where no budget refused any, nothing is asked. What fails here is left to the next
    refusal: the booking stands.
    """
    needs = refused_needs(row.event for row in rows)
    if not needs:
        return
    try:
        async with connection.transaction():
            found = await standings(connection, {(scope, scope_id, period) for scope, scope_id, period, _ in needs})
            alerts = [alert for standing in found for alert in exhausted_rows(standing, needs)]
            raised = await alerts_store.raise_alerts(connection, alerts)
    except FAILURES as problem:
        log.warning("alerts: refusals are booked without one: %s", type(problem).__name__)
    else:
        ALERTS_RAISED.inc(raised)


def exhausted_rows(standing: Standing, needs: Mapping[Budget, set[int]]) -> Iterator[tuple[object, ...]]:
    """What is to be stored for a scope whose refusals have been booked; nothing for one whose organization is not known."""
    if standing.organization_id is None:
        return
    for spending in spendings(standing):
        needed = needs.get((standing.scope, standing.scope_id, standing.period, spending.unit), ())
        alert = exhausted(spending, needed)
        if alert is not None:
            yield row_of(alert, standing)
