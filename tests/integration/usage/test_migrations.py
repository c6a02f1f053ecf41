"""A database of the release before budgets of every scope, brought up to date: what was spent is in the new budgets."""

import calendar
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import psycopg
import pytest
import sqlalchemy.exc

from common.contracts.identifiers import uuid7
from tests.days import today
from tests.integration.usage.conftest import Books
from tests.servers.fixtures import Database
from usage.migrate import migrate

RAW = """
INSERT INTO requests (
    event_id, period_day, period_month, request_id, organization_id, project_id, key_id, owner_id, gateway, boot, boot_number, endpoint,
    model_requested, model, tier, stream, cache, status, http_status, admitted_at, finished_at, latency_us, prompt_tokens,
    completion_tokens, cached_prompt_tokens, reasoning_tokens, usage_source, cost_nanousd, cost_status, price_version, hold_tokens,
    hold_nanousd, saved_tokens, saved_nanousd, tags, attempts
) VALUES (
    %s, %s, %s, 'r', 'o', 'p', %s, %s, 'g', 'b', 1, 'chat.completions', 'auto', 'm', 'fast', false, 'miss', 'ok', 200, now(), now(), 1,
    %s, 5, 0, 0, 'provider', 100, 'exact', '1', 0, 0, 0, 0, '{}', '[]'
)
"""
DAILY = """
INSERT INTO daily_usage AS d (
    day, project_id, key_id, model, organization_id, requests, errors, cache_hits, prompt_tokens, completion_tokens,
    cached_prompt_tokens, reasoning_tokens, cost_nanousd, saved_tokens, saved_nanousd, estimated, unpriced
) VALUES (%s, 'p', %s, 'm', 'o', 1, 0, 0, %s, 5, 0, 0, 100, 0, 0, 0, 0)
ON CONFLICT (project_id, day, key_id, model) DO UPDATE SET
    prompt_tokens = d.prompt_tokens + excluded.prompt_tokens, completion_tokens = d.completion_tokens + 5,
    cost_nanousd = d.cost_nanousd + 100
"""
LEDGER = """
INSERT INTO ledger AS l (scope, scope_id, period, spent_tokens, spent_nanousd) VALUES ('project', 'p', %s, %s, 100)
ON CONFLICT (scope, scope_id, period) DO UPDATE SET
    spent_tokens = l.spent_tokens + excluded.spent_tokens, spent_nanousd = l.spent_nanousd + 100
"""


@pytest.fixture
def credentials(database: Database) -> tuple[str, str]:
    """What the migration job is told."""
    return database.url("usage"), database.passwords["usage"]


def book(books: Books, day: date, tokens: int, *, key: str = "k", owner: str | None = None, raw: bool = True) -> None:
    """As the release before booked it; without `raw` its retention has passed."""
    if raw:
        books.query(RAW, uuid7(), day, day.isoformat()[:7], key, owner, tokens - 5)
    books.query(DAILY, day, key, tokens - 5)
    books.query(LEDGER, day.isoformat()[:7], tokens)


def last_month() -> date:
    """Its last day."""
    return today().replace(day=1) - timedelta(days=1)


def spent(books: Books, scope: str, scope_id: str) -> dict[object, object]:
    """Tokens by period."""
    return dict(books.query("SELECT period, spent_tokens FROM ledger WHERE (scope, scope_id) = (%s, %s)", scope, scope_id))  # type: ignore[arg-type] # pairs


def test_what_was_spent_before_counts_in_every_budget(credentials: tuple[str, str], books: Books) -> None:
    """Of organizations, projects and keys also what retention has deleted; of members what is left; no period that is long over."""
    migrate(*credentials, "0002")
    long_over = today() - timedelta(days=120)
    book(books, today(), 10, owner="ada")
    book(books, today(), 20, key="other")
    book(books, last_month(), 40, owner="ada")
    book(books, last_month(), 80, owner="ada", raw=False)
    book(books, long_over, 160, owner="ada")
    migrate(*credentials)
    now, before, then = today().isoformat(), last_month().isoformat(), long_over.isoformat()
    both = {now: 30, now[:7]: 30, before: 120, before[:7]: 120}
    assert spent(books, "organization", "o") == both
    assert spent(books, "project", "p") == {**both, then[:7]: 160}
    assert spent(books, "key", "k") == {now: 10, now[:7]: 10, before: 120, before[:7]: 120}
    assert spent(books, "key", "other") == {now: 20, now[:7]: 20}
    assert spent(books, "member", "o/ada") == {now: 10, now[:7]: 10, before: 40, before[:7]: 40}
    owners = books.query("SELECT DISTINCT scope, organization_id, project_id FROM ledger WHERE period <> %s ORDER BY 1", then[:7])
    assert owners == [("key", "o", "p"), ("member", "o", None), ("organization", "o", None), ("project", "o", "p")]
    assert books.query("SELECT 1 FROM boot_spend") == []


def test_a_month_that_ended_within_two_months_is_whole(credentials: tuple[str, str], books: Books) -> None:
    """Its first days count in the month, though they are too long over for budgets of their own."""
    migrate(*credentials, "0002")
    first = (today() - timedelta(days=62)).replace(day=1)
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    book(books, first - timedelta(days=1), 7)
    book(books, first, 10)
    book(books, last, 20)
    migrate(*credentials)
    days = {day.isoformat(): tokens for day, tokens in ((first, 10), (last, 20)) if today() - day <= timedelta(days=62)}
    assert spent(books, "organization", "o") == {first.isoformat()[:7]: 30, **days}


def test_requests_are_not_locked_while_what_was_spent_is_filled_in(credentials: tuple[str, str], books: Books) -> None:
    """Each migration is a transaction of its own: what was applied before one that fails stays, and the next run goes on there."""
    migrate(*credentials, "0002")
    book(books, today(), 10)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'usage-migrate' AND wait_event_type = 'Lock'"
    locked = "SELECT 1 FROM pg_locks WHERE relation = 'requests'::regclass AND mode = 'AccessExclusiveLock'"
    with ThreadPoolExecutor(1) as thread, psycopg.connect(books.conninfo) as other:
        other.execute("LOCK TABLE daily_usage IN ACCESS EXCLUSIVE MODE")
        running = thread.submit(migrate, *credentials)
        while not (books.query(waiting) or running.done()):
            time.sleep(0.02)
        assert books.query(locked) == []
        with pytest.raises(sqlalchemy.exc.OperationalError, match="lock timeout"):
            running.result(60)
        other.rollback()
    assert books.query("SELECT version_num FROM alembic_version") == [("0005",)]
    migrate(*credentials)
    assert spent(books, "key", "k") == {today().isoformat(): 10, today().isoformat()[:7]: 10}


AGAIN = """
DELETE FROM ledger WHERE scope <> 'project' OR length(period) <> 7;
DELETE FROM grants WHERE scope <> 'project' OR length(period) <> 7;
DELETE FROM boot_spend WHERE scope <> 'project' OR length(period) <> 7;
UPDATE alembic_version SET version_num = '0005';
"""


def test_what_was_spent_can_be_filled_in_again(credentials: tuple[str, str], books: Books) -> None:
    """After the release before has been at work once more, which books into projects' months alone."""
    migrate(*credentials)
    book(books, today(), 10, owner="ada")
    assert spent(books, "organization", "o") == {}
    with psycopg.connect(books.conninfo, autocommit=True) as operator:
        operator.execute(AGAIN)
    migrate(*credentials)
    for scope, scope_id in (("organization", "o"), ("project", "p"), ("key", "k"), ("member", "o/ada")):
        assert spent(books, scope, scope_id) == {today().isoformat(): 10, today().isoformat()[:7]: 10}
