"""What a round has cost, per target: the provider's count, the ledger, the limit, the stated bound, and what is still held."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from common.contracts.prices import built_in_book
from devstack.stack import http
from tests.budgets.scenarios import Target
from tests.faults.oracle import PRICED_AS, Evidence
from tests.faults.rig import Rig

SLICE = 1000
Amounts = tuple[int, int]
"""Tokens and nano-USD."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One target's sums. `at_once`: the most streams that were under way at the same time. `overrun`: what they may have spent beyond
    their holds at the most, by what they did: the largest overruns of so many. `unseen`: what the provider made of cut answers and nobody
    could see, which is in no book.
    """

    target: Target
    provider: Amounts
    ledger: Amounts
    at_once: int
    overrun: Amounts
    unseen: Amounts
    served: int
    refused: int
    breaches: tuple[str, ...]

    def line(self) -> str:
        """A row of the table: per unit limit, provider, ledger."""
        scenario = self.target.scenario
        limits = [scenario.limits_in("tokens"), scenario.limits_in("cost_nanousd")]
        cells = [
            cell
            for unit in (0, 1)
            for cell in (
                "–" if limits[unit] is None else f"{limits[unit]:,}",
                f"{self.provider[unit]:,}",
                f"{self.ledger[unit]:,}",
            )
        ]
        bound = "0" if scenario.mode == "strict" else f"{self.overrun[0]:,}"
        tail = (str(self.at_once), bound, f"{self.unseen[0]:,}", str(self.served), str(self.refused))
        return (
            f"{scenario.name:<24}{scenario.mode:<9}"
            + "".join(f"{cell:>12}" for cell in cells)
            + "".join(f"{it:>9}" for it in tail)
        )


HEAD = (
    f"{'project':<24}{'mode':<9}"
    + "".join(f"{name:>12}" for name in ("limit tok", "provider", "ledger", "limit n$", "provider", "ledger"))
    + "".join(f"{name:>9}" for name in ("at once", "overrun", "unseen", "served", "refused"))
)


def draw_up(targets: Sequence[Target], evidence: Evidence) -> list[Sheet]:
    """The sums of the targets' requests, attempt by attempt."""
    truths = {(truth["request_id"], truth["attempt"]): truth for truth in evidence.truths}
    rows: dict[str, list[Row]] = {}
    for row in evidence.books.requests:
        rows.setdefault(row["project_id"], []).append(row)
    return [_sheet(target, rows.get(target.project_id, []), truths) for target in targets]


def _sheet(target: Target, rows: list[Row], truths: Mapping[tuple[str, int], Row]) -> Sheet:
    called = [row for row in rows if row["attempts"]]
    billed = {row["request_id"]: _billed(row, truths) for row in called}
    provider = _total(billed.values())
    ledger = _total((row["prompt_tokens"] + row["completion_tokens"], row["cost_nanousd"]) for row in rows)
    at_once = most_at_once([(row["admitted_at"], row["finished_at"]) for row in called])
    overruns = [_overrun(row) for row in called]
    unseen = [_unseen(row, billed[row["request_id"]]) for row in called]
    overrun = _largest(overruns, at_once)
    statuses = Counter(row["status"] for row in rows)
    sheet = Sheet(
        target=target,
        provider=provider,
        ledger=ledger,
        at_once=at_once,
        overrun=overrun,
        unseen=_total(unseen),
        served=len(called),
        refused=statuses["refused"],
        breaches=(),
    )
    return replace(sheet, breaches=_breaches(sheet, overruns, unseen))


def _breaches(sheet: Sheet, overruns: list[Amounts], unseen: list[Amounts]) -> tuple[str, ...]:
    """The ledger stays within limit + overruns of what was under way at once, the provider within that + what nobody saw; of strict
    requests both are nothing, of sliced ones a slice each at the most.
    """
    scenario = sheet.target.scenario
    found = []
    for unit, name in enumerate(("tokens", "cost_nanousd")):
        limit = scenario.limits_in(name)
        if limit is None:
            continue
        most = limit + sheet.overrun[unit]
        if sheet.ledger[unit] > most:
            found.append(f"{scenario.name}: the ledger has {sheet.ledger[unit]} of {limit} + {sheet.overrun[unit]} {name}")
        if sheet.provider[unit] > most + sheet.unseen[unit]:
            found.append(f"{scenario.name}: the provider has {sheet.provider[unit]} of {most} + {sheet.unseen[unit]} {name}")
    each = {"strict": 0, "sliced": SLICE}.get(scenario.mode)
    if each is not None:
        beyond = [amounts[0] for amounts in (*overruns, *unseen) if amounts[0] > each]
        found += [f"{scenario.name}: one request is {amount} tokens beyond what was held" for amount in beyond]
    return tuple(found)


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """How many of the spans overlap at the most; one that ends as another begins does not overlap it."""
    moments = sorted((at, change) for begin, end in spans for at, change in ((begin, 1), (end + 0.001, -1)))
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


def _overrun(row: Row) -> Amounts:
    """By how much a request was charged more than it held."""
    spent = (row["prompt_tokens"] + row["completion_tokens"], row["cost_nanousd"])
    return max(0, spent[0] - row["hold_tokens"]), max(0, spent[1] - row["hold_nanousd"])


def _unseen(row: Row, billed: Amounts) -> Amounts:
    """What the provider made more than was charged: of an answer whose usage never came."""
    spent = (row["prompt_tokens"] + row["completion_tokens"], row["cost_nanousd"])
    return max(0, billed[0] - spent[0]), max(0, billed[1] - spent[1])


def _largest(amounts: list[Amounts], count: int) -> Amounts:
    tokens, cost = (sorted((it[unit] for it in amounts), reverse=True)[:count] for unit in (0, 1))
    return sum(tokens), sum(cost)


def _total(amounts: Iterable[Amounts]) -> Amounts:
    tokens = cost = 0
    for one in amounts:
        tokens, cost = tokens + one[0], cost + one[1]
    return tokens, cost


def _billed(row: Row, truths: Mapping[tuple[str, int], Row]) -> Amounts:
    tokens = cost = 0
    for attempt in row["attempts"]:
        truth = truths.get((row["request_id"], attempt["number"]))
        if truth is not None:
            tokens += truth["prompt_tokens"] + truth["generated"]
            cost += _cost(attempt["model"], truth["prompt_tokens"], truth["generated"])
    return tokens, cost


def _cost(model: str, prompt: int, completion: int) -> int:
    book = built_in_book()
    price = book.find(model) or book.find(PRICED_AS)
    assert price is not None
    return -(-(prompt * price.input + completion * price.output) // 1_000_000)


def holds_left(rig: Rig, targets: Sequence[Target]) -> list[str]:
    """Every hold that some gateway still has for one of them; when all is quiet there is none."""
    found = []
    for name, port in rig.gateways.items():
        for target in targets:
            asked = f"/v1/quota?user={target.end_user}" if target.end_user else "/v1/quota"
            status, answer = http.request(port, asked, bearer=target.key, timeout=30)
            assert status == 200, (name, status, answer)
            shown = {scope["scope"] for scope in answer["data"]}
            assert target.scenario.owner in shown, (target.scenario.name, shown)
            for scope in answer["data"]:
                here = scope["this_gateway"]
                if here["held_tokens"] or here["held_nanousd"]:
                    found.append(f"{name} still holds for {target.scenario.name}: {here}")
    return found
