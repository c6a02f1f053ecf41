"""What the oracle says: where the law was broken, and provider and ledger side by side."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.faults.books import Row

MOST_SHOWN = 20


@dataclass(slots=True)
class Tally:
    """A line of the table."""

    attempts: int = 0
    provider_prompt: int = 0
    provider_completion: int = 0
    ledger_prompt: int = 0
    ledger_completion: int = 0

    @property
    def difference(self) -> int:
        """Ledger − provider, tokens of both kinds."""
        return self.ledger_prompt + self.ledger_completion - self.provider_prompt - self.provider_completion

    def add(self, truth: Row, usage: Row) -> None:
        """One attempt: what the provider counted, what was booked."""
        self.attempts += 1
        self.provider_prompt += truth["prompt_tokens"]
        self.provider_completion += truth["generated"]
        self.ledger_prompt += usage.get("prompt_tokens", 0)
        self.ledger_completion += usage.get("completion_tokens", 0)

    def line(self, name: str) -> str:
        """Class, attempts, tokens (prompt + completion) at the provider and in the ledger, difference."""
        provider = f"{self.provider_prompt} + {self.provider_completion}"
        ledger = f"{self.ledger_prompt} + {self.ledger_completion}"
        return f"{name:<36}{self.attempts:>9}{provider:>19}{ledger:>19}{self.difference:>12}"


@dataclass(slots=True)
class Verdict:
    """`broken` says how the law was broken, one sentence each; empty = it holds."""

    broken: list[str] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    notes: list[str] = field(default_factory=list)

    def expect(self, holds: bool, sentence: str) -> None:
        """Note a breach."""
        if not holds:
            self.broken.append(sentence)

    @property
    def total(self) -> Tally:
        """Over all classes."""
        total = Tally()
        for tally in self.tallies.values():
            for name in Tally.__slots__:
                setattr(total, name, getattr(total, name) + getattr(tally, name))
        return total

    def table(self) -> str:
        """For people."""
        head = f"{'class':<36}{'attempts':>9}{'provider':>19}{'ledger':>19}{'difference':>12}"
        lines = [tally.line(name) for name, tally in sorted(self.tallies.items())]
        return "\n".join([head, *lines, self.total.line("total"), *self.notes])


def assert_law(verdict: Verdict) -> None:
    """Fail if the law is broken anywhere, with the first breaches."""
    shown = "\n".join(verdict.broken[:MOST_SHOWN])
    assert not verdict.broken, f"the law is broken {len(verdict.broken)} times:\n{shown}\n{verdict.table()}"
