"""Everything that must add up inside the books: rows and their attempts, aggregates, ledger, receipts, budgets, spool."""

from collections import Counter
from collections.abc import Collection, Mapping

from tests.faults.books import Books, Row
from tests.faults.spools import SpooledBoot
from tests.faults.verdict import Verdict


def check_rows(verdict: Verdict, books: Books, answered: Collection[str]) -> None:
    """No row twice, each the sum of its attempts and within its hold, none missing that a client has an answer for."""
    events = Counter(row["event_id"] for row in books.requests)
    requests = Counter(row["request_id"] for row in books.requests)
    for counted in (events, requests):
        for name, count in counted.items():
            verdict.expect(count == 1, f"{name}: {count} rows")
    for row in books.requests:
        _check_row(verdict, row)
    unbooked = sorted(set(answered) - requests.keys())
    verdict.expect(not unbooked, f"{len(unbooked)} whole answers have no row: {unbooked[:3]}")
    statuses = Counter(row["status"] for row in books.requests)
    said = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    hits = sum(row["cache"] == "hit" for row in books.requests)
    verdict.notes.append(f"{len(books.requests)} rows ({said}; {hits} from the cache) for {len(answered)} whole answers")


BOUNDED = ("", "strict")
"""Modes of a budget in which a hold is an upper bound."""


def _check_row(verdict: Verdict, row: Row) -> None:
    attempts, what = row["attempts"], f"{row['request_id']} {row['status']}"
    prompt = sum(attempt.get("usage", {}).get("prompt_tokens", 0) for attempt in attempts)
    completion = sum(attempt.get("usage", {}).get("completion_tokens", 0) for attempt in attempts)
    cost = sum(attempt.get("cost_nanousd", 0) for attempt in attempts)
    sums = (row["prompt_tokens"], row["completion_tokens"], row["cost_nanousd"])
    verdict.expect(sums == (prompt, completion, cost), f"{what}: {sums} is not the sum of its attempts")
    if row.get("mode", "") in BOUNDED:
        verdict.expect(prompt + completion <= row["hold_tokens"], f"{what}: {prompt + completion} > hold {row['hold_tokens']}")
        verdict.expect(cost <= row["hold_nanousd"], f"{what}: cost {cost} > hold {row['hold_nanousd']}")
    verdict.expect(row["cost_verified"] is not False, f"{what}: the cost disagrees with the price book")
    estimated = any(attempt.get("usage_source") == "estimated" for attempt in attempts)
    verdict.expect((row["usage_source"] == "estimated") == estimated, f"{what}: flagged {row['usage_source']}")


def check_sums(verdict: Verdict, books: Books, totals: Row) -> None:
    """Aggregates and ledger are the sums of the rows; the ledger's excess over the provider is that of the flagged attempts."""
    for row in books.daily_differences:
        verdict.broken.append(f"daily {row['day']} {row['project_id']} {row['model']}: {row['aggregated']}, rows {row['summed']}")
    verdict.expect(books.durations["observed"] == books.durations["measured"], f"durations: {books.durations}")
    verdict.broken += [f"not the sum of the requests: {row}" for row in books.scope_differences]
    for row in (*books.ledger, *books.boot_spend):
        equal = (row["spent_tokens"], row["spent_nanousd"]) == (row["row_tokens"], row["row_nanousd"])
        verdict.expect(equal, f"ledger: {row}")
    spent = sum(row["spent_tokens"] for row in books.ledger)
    billed = totals["prompt_tokens"] + totals["completion_tokens"]
    explained = sum(
        tally.difference for name, tally in verdict.tallies.items() if name.startswith("estimated") or name.endswith("died")
    )
    verdict.notes.append(f"Σ ledger {spent} − Σ provider {billed} = {spent - billed}; of flagged attempts {explained}")
    verdict.expect(spent - billed == explained, f"the ledger's excess {spent - billed} is not that of the flagged, {explained}")


def check_receipts(verdict: Verdict, books: Books) -> None:
    """Every boot's numbers have arrived without a gap, one row each, and it was closed behind the last."""
    for row in books.boots:
        expected = f"{{[1,{row['rows'] + 1})}}" if row["rows"] else "{}"
        verdict.expect(row["received"] == expected, f"boot {row['boot']}: received {row['received']}, rows {row['rows']}")
        dense = row["rows"] == row["numbers"] == row["highest"] == row["contiguous"]
        verdict.expect(dense, f"boot {row['boot']} is not dense: {row}")
        verdict.expect(row["close_at"] in {None, row["rows"]}, f"boot {row['boot']} was closed at {row['close_at']}")
    verdict.notes.append(f"{len(books.boots)} boots, {sum(row['closed'] is True for row in books.boots)} of them closed")


def check_budgets(verdict: Verdict, books: Books, limited: Mapping[str, str]) -> None:
    """What was spent, and what boots may still spend, is within every limit of every scope. `limited`: names by project id."""
    estimated = {
        row[owner] for row in books.requests if row.get("mode", "") not in BOUNDED for owner in ("organization_id", "project_id")
    }
    for row in books.obligations:
        if (row["project_id"] or row["organization_id"]) in estimated:
            continue  # its bound is another: see tests/budgets
        what = f"{row['scope']} {limited.get(row['scope_id'], row['scope_id'])} in {row['period']}"
        for unit in ("tokens", "nanousd"):
            if (limit := row[f"limit_{unit}"]) is None:
                continue
            promised, used = row[unit], row[f"spent_{unit}"]
            verdict.expect(promised <= limit, f"{what}: Σ max(granted, spent) = {promised} > {limit} {unit}")
            verdict.expect(used <= limit, f"{what}: spent {used} > {limit} {unit}")
            if row["scope_id"] in limited:
                verdict.notes.append(f"budget of {what}: {used} spent, {promised} promised of {limit} {unit}")
    granted = {row["scope_id"] for row in books.obligations}
    verdict.expect(limited.keys() <= granted, "a project with a budget spent without a grant")


def check_spools(verdict: Verdict, books: Books, spools: Mapping[str, SpooledBoot]) -> None:
    """What is left on the gateways' disk is whole, ended and booked."""
    booked = {row["event_id"] for row in books.requests}
    for boot in spools.values():
        verdict.expect(not boot.open, f"boot {boot.boot}: {len(boot.open)} starts without an end")
        verdict.expect(boot.ended <= booked, f"boot {boot.boot}: {len(boot.ended - booked)} ends are not booked")
        verdict.expect(not boot.damaged, f"boot {boot.boot}: {boot.damaged} damaged places")
