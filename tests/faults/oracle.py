"""The acceptance oracle: what the provider billed, attempt by attempt, against everything that was booked.

The law: every attempt that the provider billed is booked exactly once; where its usage was received, with the same tokens of each
kind; where not, flagged, with provider ≤ ledger ≤ hold in strict mode. What the ledger has more than the provider comes from
flagged rows alone.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from common.contracts.prices import built_in_book
from tests.faults import sums
from tests.faults.books import Books, Row, read_books
from tests.faults.rig import Rig
from tests.faults.spools import SpooledBoot, quarantined, read_spools
from tests.faults.verdict import Verdict

Key = tuple[str, int]
NOTHING: Final[Row] = {"prompt_tokens": 0, "generated": 0, "outcome": ""}
PRICED_AS: Final = "sim-fast-1"
"""The routes file prices what has no price of its own so."""

_BOOK: Final = built_in_book()


@dataclass(frozen=True, slots=True)
class Evidence:
    """`truths`: the provider's own rows, one per call; `totals`: its own sums; `spools`: what is left on the gateways' disk."""

    books: Books
    truths: list[Row]
    totals: Row
    spools: Mapping[str, SpooledBoot]
    quarantined: Collection[str] = ()


def gather(rig: Rig) -> Evidence:
    """Everything there is to compare; for when all is quiet."""
    return Evidence(
        read_books(rig.database()),
        rig.ask_provider("/_sim/requests")["data"],
        rig.ask_provider("/_sim/totals"),
        read_spools(rig.spool),
        quarantined(rig.spool),
    )


def judge(evidence: Evidence, *, answered: Collection[str] = (), limited: Mapping[str, str] | None = None) -> Verdict:
    """Compare everything. `answered`: requests whose whole answer a client holds; `limited`: names of projects with a budget."""
    verdict = Verdict()
    _join(verdict, evidence)
    sums.check_rows(verdict, evidence.books, answered)
    sums.check_sums(verdict, evidence.books, evidence.totals)
    sums.check_receipts(verdict, evidence.books)
    sums.check_budgets(verdict, evidence.books, limited or {})
    sums.check_spools(verdict, evidence.books, evidence.spools)
    verdict.expect(not evidence.quarantined, f"damaged places in the spool: {evidence.quarantined}")
    return verdict


def _join(verdict: Verdict, evidence: Evidence) -> None:
    truths: dict[Key, Row] = {}
    for truth in evidence.truths:
        key = (truth["request_id"], truth["attempt"])
        verdict.expect(key not in truths, f"{key}: the provider was called twice for one attempt")
        truths[key] = truth
    booked: Counter[Key] = Counter()
    for row in evidence.books.requests:
        for attempt in row["attempts"]:
            key = (row["request_id"], attempt["number"])
            booked[key] += 1
            _compare(verdict, row, attempt, truths.get(key))
    for key, count in booked.items():
        verdict.expect(count == 1, f"{key}: booked {count} times")
    for key in truths.keys() - booked.keys():
        _report_unbooked(verdict, key, truths[key])


def _report_unbooked(verdict: Verdict, key: Key, truth: Row) -> None:
    if truth["prompt_tokens"] or truth["generated"]:
        verdict.tallies["LOST: billed, not booked"].add(truth, {})
        verdict.broken.append(f"{key}: billed and not booked: {truth}")
    else:
        verdict.tallies["not billed, not booked"].add(truth, {})


def _compare(verdict: Verdict, row: Row, attempt: Row, found: Row | None) -> None:
    truth, usage, source = found or NOTHING, attempt.get("usage", {}), attempt.get("usage_source", "none")
    billed = (truth["prompt_tokens"], truth["generated"])
    ledger = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
    what = f"{row['request_id']}/{attempt['number']} {row['status']}, {source}: provider {billed}, ledger {ledger}"
    covered = billed[0] <= ledger[0] and billed[1] <= ledger[1]
    if source == "none":
        verdict.tallies["not billed"].add(truth, usage)
        verdict.expect(ledger == (0, 0) and not attempt.get("cost_nanousd"), f"{what}: charged without a source")
        verdict.expect(billed == (0, 0), f"{what}: billed and booked as free")
    elif source == "estimated":
        verdict.tallies[f"estimated: {row['status']}{', never arrived' if found is None else ''}"].add(truth, usage)
        # Outside strict mode a hold is an estimate, and so is what is charged when the usage never came.
        verdict.expect(covered or row.get("mode", "") not in sums.BOUNDED, f"{what}: less than billed")
    elif truth["outcome"] == "killed":
        # It died before it had written down all that it had generated: its count is only a lower bound.
        verdict.tallies["usage received, provider died"].add(truth, usage)
        verdict.expect(covered, f"{what}: less than billed")
    else:
        verdict.tallies["usage received"].add(truth, usage)
        verdict.expect(found is not None and ledger == billed, f"{what}: not equal")
    if source == "provider":
        cost = _cost(attempt["model"], *ledger)
        verdict.expect(attempt.get("cost_nanousd", 0) == cost, f"{what}: costs {attempt.get('cost_nanousd')}, not {cost}")


def _cost(model: str, prompt: int, completion: int) -> int:
    price = _BOOK.find(model) or _BOOK.find(PRICED_AS)
    assert price is not None
    return -(-(prompt * price.input + completion * price.output) // 1_000_000)
