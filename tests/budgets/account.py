"""What a round has cost, per target: the provider's count, the ledger, the limit, the stated bound, and what is still held."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from common.contracts.prices import built_in_book
from devstack.stack import http
from tests.budgets.scenarios import Target
from tests.faults.oracle import PRICED_AS, Evidence
from tests.faults.rig import Rig

SLICE = 1000
Amounts = tuple[int, int]
"""Tokens and nano-USD."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One target's sums; `bound` is what may be spent beyond the limit by the mode's own word."""

    target: Target
    provider: Amounts
    ledger: Amounts
    bound: Amounts
    served: int
    refused: int

    def breaches(self) -> list[str]:
        """Nothing is spent beyond limit + bound, neither by the ledger nor by the provider."""
        scenario = self.target.scenario
        unit = 0 if scenario.unit == "tokens" else 1
        (limit,) = scenario.limits.values()
        return [
            f"{scenario.name}: {who} {amounts[unit]} > {limit} + {self.bound[unit]} {scenario.unit}"
            for who, amounts in (("provider", self.provider), ("ledger", self.ledger))
            if amounts[unit] > limit + self.bound[unit]
        ]

    def line(self) -> str:
        """A row of the table."""
        scenario = self.target.scenario
        unit = 0 if scenario.unit == "tokens" else 1
        (limit,) = scenario.limits.values()
        numbers = (limit, self.provider[unit], self.ledger[unit], self.bound[unit], self.served, self.refused)
        return f"{scenario.name:<26}{scenario.mode:<9}{scenario.unit:<8}" + "".join(f"{number:>12,}" for number in numbers)


HEAD = f"{'project':<26}{'mode':<9}{'unit':<8}" + "".join(
    f"{name:>12}" for name in ("limit", "provider", "ledger", "bound", "served", "refused")
)


def draw_up(targets: Sequence[Target], evidence: Evidence) -> list[Sheet]:
    """The sums of the targets' requests, attempt by attempt."""
    truths = {(truth["request_id"], truth["attempt"]): truth for truth in evidence.truths}
    sheets = []
    for target in targets:
        rows = [row for row in evidence.books.requests if row["project_id"] == target.project_id]
        provider, ledger, bound = [0, 0], [0, 0], [0, 0]
        for row in rows:
            ledger[0] += row["prompt_tokens"] + row["completion_tokens"]
            ledger[1] += row["cost_nanousd"]
            billed = _billed(row, truths)
            provider[0] += billed[0]
            provider[1] += billed[1]
            for unit, allowed in enumerate(_allowed(row, billed, target.scenario.mode)):
                bound[unit] += allowed
        statuses = Counter(row["status"] for row in rows)
        served = statuses.total() - statuses["refused"]
        sheets.append(
            Sheet(target, (provider[0], provider[1]), (ledger[0], ledger[1]), (bound[0], bound[1]), served, statuses["refused"])
        )
    return sheets


def _billed(row: dict[str, object], truths: dict[tuple[str, int], dict[str, int]]) -> Amounts:
    tokens = cost = 0
    for attempt in row["attempts"]:  # type: ignore[attr-defined] # JSON
        truth = truths.get((row["request_id"], attempt["number"]))  # type: ignore[arg-type] # JSON
        if truth is not None:
            tokens += truth["prompt_tokens"] + truth["generated"]
            cost += _cost(attempt["model"], truth["prompt_tokens"], truth["generated"])
    return tokens, cost


def _allowed(row: dict[str, object], billed: Amounts, mode: str) -> Amounts:
    """By how much a request may pass its hold: not at all in strict mode, by what was short of the hold otherwise, for sliced ones
    a slice at the most and what the prompt was underestimated by."""
    if mode == "strict":
        return 0, 0
    over = (max(0, billed[0] - int(row["hold_tokens"])), max(0, billed[1] - int(row["hold_nanousd"])))  # type: ignore[call-overload] # JSON
    if mode == "expected":
        return over
    model = row["attempts"][-1]["model"] if row["attempts"] else PRICED_AS  # type: ignore[index] # JSON
    return min(over[0], SLICE), min(over[1], _cost(model, SLICE, SLICE))


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
            status, answer = http.request(port, "/v1/quota", bearer=target.key, timeout=30)
            assert status == 200, (name, status, answer)
            for scope in answer["data"]:
                here = scope["this_gateway"]
                if here["held_tokens"] or here["held_nanousd"]:
                    found.append(f"{name} still holds for {target.scenario.name}: {here}")
    return found
