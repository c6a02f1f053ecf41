"""Gateways and the budget authority on paper: the rules of both sides as they are, with a clock, a network and a disk that are made up."""

import random
from dataclasses import dataclass, field

from common.contracts.grants import ScopeAnswer, ScopeAsk
from gateway.domain.budget import Hold, ScopeAccount
from gateway.domain.grant_pace import GrantPace
from usage.outbound.grants_store import GrantRow, ScopeBooks
from usage.use_cases.answer_grants import answer_scope

PERIOD_SECONDS = 40.0
SLICE = 10
Name = tuple[str, str, str]


@dataclass
class Request:
    """One request under way: its hold, what it was let in with, and whether that may turn out to be too little."""

    hold: Hold
    sliced: bool
    spent: int = 0


@dataclass
class Booking:
    """What a request has spent, on its way to the books."""

    names: tuple[Name, ...]
    amount: int


class Gateway:
    """One boot. `skew`: how far its clock is off."""

    def __init__(self, boot: str, skew: float) -> None:
        self.boot, self.skew = boot, skew
        self.accounts: dict[Name, ScopeAccount] = {}
        self.paces: dict[Name, GrantPace] = {}
        self.requests: list[Request] = []
        self.unbooked: list[Booking] = []
        self.paused = self.dead = False

    def account(self, name: Name, limit: int, version: int, now: float) -> ScopeAccount:
        """The account of that name; a newer limit is adopted, and what a lower one does not cover is returned."""
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = ScopeAccount(*name, limit, None, version)
            self.paces[name] = GrantPace(found, (SLICE, 0), now)
        elif found.change_limits(limit, None, version):
            found.give_back()
        return found


@dataclass
class Authority:
    """The books: what was spent and granted by boot, and which boots are closed."""

    spent: dict[tuple[Name, str], int] = field(default_factory=dict)
    granted: dict[tuple[Name, str], GrantRow] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def answer(self, boot: str, ask: ScopeAsk, limit: int, version: int, gateways: int) -> ScopeAnswer:
        """Decide and store, in one step: the database serializes."""
        name = (ask.scope, ask.scope_id, ask.period)
        answer, row = answer_scope(ask, self._books(name, boot, limit, version), None, active_gateways=gateways)
        if row is not None:
            self.granted[name, boot] = row
        return answer

    def _books(self, name: Name, boot: str, limit: int, version: int) -> ScopeBooks:
        own = self.granted.get((name, boot))
        held = sum(
            max(0, (row.tokens or 0) - self.spent.get((name, other), 0))
            for (scope, other), row in self.granted.items()
            if scope == name and other != boot and other not in self.closed
        )
        return ScopeBooks(
            *name,
            spent_tokens=sum(amount for (scope, _), amount in self.spent.items() if scope == name),
            spent_nanousd=0,
            limit_version=version,
            limit_tokens=limit,
            limit_nanousd=None,
            ask_seq=own.seq if own else None,
            granted_tokens=own.tokens if own else None,
            granted_nanousd=None,
            boot_tokens=self.spent.get((name, boot), 0),
            boot_nanousd=0,
            held_tokens=held,
            held_nanousd=0,
            boot_closed=boot in self.closed,
        )

    def promised(self, name: Name) -> int:
        """All that was spent of a scope, and what open boots may still spend."""
        boots = {boot for scope, boot in (*self.spent, *self.granted) if scope == name}
        total = 0
        for boot in boots:
            spent, row = self.spent.get((name, boot), 0), self.granted.get((name, boot))
            total += spent if boot in self.closed or row is None else max(spent, row.tokens or 0)
        return total


class World:
    """Some gateways, one authority, and a network that delays, loses, repeats and reorders."""

    def __init__(self, seed: int, *, gateways: int, project_limit: int, key_limit: int) -> None:
        self.random = random.Random(seed)
        self.now = 1_000.0
        self.version = 1
        self.limits = {"project": project_limit, "key": key_limit}
        self.highest = dict(self.limits)
        self.authority = Authority()
        self.gateways = [Gateway(f"boot-{number}", self.random.uniform(-5, 5)) for number in range(gateways)]
        self.graves: list[Gateway] = []
        self.asks: list[tuple[Gateway, ScopeAsk]] = []
        self.answers: list[tuple[Gateway, ScopeAnswer]] = []
        self.recalls: list[tuple[Gateway, Name]] = []
        self.boots = gateways
        self.overdrawn: dict[Name, int] = {}
        """What sliced requests have spent beyond their holds: the stated bound."""

    # ---- requests ------------------------------------------------------------------------------------------------------
    def names(self, gateway: Gateway) -> tuple[Name, ...]:
        """What a request counts against that this gateway lets in now, by its own clock."""
        number = int((self.now + gateway.skew) // PERIOD_SECONDS)
        return (("project", "p", f"month-{number // 4}"), ("project", "p", f"day-{number}"), ("key", "k", f"month-{number // 4}"))

    def admit(self, gateway: Gateway, estimate: int, *, sliced: bool) -> bool:
        """Let a request in if the grants at hand cover it."""
        if gateway.paused or gateway.dead:
            return False
        accounts = tuple(gateway.account(name, self.limits[name[0]], self.version, self.now) for name in self.names(gateway))
        hold = Hold(accounts)
        if not hold.try_take(estimate, 0):
            return False
        for account in accounts:
            self._pace(gateway, account).touched(estimate, 0, self.now)
        gateway.requests.append(Request(hold, sliced))
        return True

    def extend(self, gateway: Gateway, request: Request) -> bool:
        """One more slice for a stream."""
        return not gateway.paused and request.hold.try_take(SLICE, 0)

    def end(self, gateway: Gateway, request: Request, spent: int) -> None:
        """Settle a request; a strict one has spent no more than its hold, a sliced one up to a slice more."""
        allowed = request.hold.tokens + (SLICE if request.sliced else 0)
        request.spent = min(spent, allowed)
        gateway.requests.remove(request)
        request.hold.settle(request.spent, 0)
        request.hold.settle(request.spent, 0)
        self._to_books(gateway, request)

    def _to_books(self, gateway: Gateway, request: Request) -> None:
        names = tuple((it.scope, it.scope_id, it.period) for it in request.hold.accounts)
        gateway.unbooked.append(Booking(names, request.spent))
        for name in names:
            self.overdrawn[name] = self.overdrawn.get(name, 0) + max(0, request.spent - request.hold.tokens)

    # ---- messages ------------------------------------------------------------------------------------------------------
    def _pace(self, gateway: Gateway, account: ScopeAccount) -> GrantPace:
        return gateway.paces[account.scope, account.scope_id, account.period]

    def ask(self, gateway: Gateway, need: int) -> None:
        """For every account it has; somebody may be waiting."""
        if gateway.paused or gateway.dead:
            return
        for name in self.names(gateway):
            gateway.account(name, self.limits[name[0]], self.version, self.now)
        for pace in gateway.paces.values():
            waiting = ((need, 0),) if need else ()
            self.asks.append((gateway, pace.shape(waiting, self.now)))

    def hear_ask(self, pick: int, *, again: bool) -> None:
        """The authority hears an ask, perhaps once more than it was said."""
        if not self.asks:
            return
        gateway, ask = self.asks[pick % len(self.asks)]
        if not again:
            self.asks.remove((gateway, ask))
        answer = self.authority.answer(gateway.boot, ask, self.limits[ask.scope], self.version, len(self.gateways))
        self.answers.append((gateway, answer))
        if answer.status == "recalling":
            name = (ask.scope, ask.scope_id, ask.period)
            self.recalls += [(other, name) for other in self.gateways if other is not gateway]

    def hear_answer(self, pick: int, *, again: bool) -> None:
        """A gateway hears an answer, however old."""
        if not self.answers:
            return
        gateway, answer = self.answers[pick % len(self.answers)]
        if gateway.paused or gateway.dead:
            return
        if not again:
            self.answers.remove((gateway, answer))
        gateway.paces[answer.scope, answer.scope_id, answer.period].take(answer, self.now)

    def hear_recall(self, pick: int) -> None:
        """A gateway returns what it has not reserved; its next ask says so."""
        if not self.recalls:
            return
        gateway, name = self.recalls.pop(pick % len(self.recalls))
        if not gateway.paused and not gateway.dead and name in gateway.paces:
            gateway.paces[name].recall(self.now)

    def recall(self, gateway: Gateway, pick: int) -> None:
        """A recall that was said long ago, or twice, arrives now."""
        if not gateway.paused and gateway.paces:
            list(gateway.paces.values())[pick % len(gateway.paces)].recall(self.now)

    def lose(self, pick: int) -> None:
        """A message never arrives."""
        for queue in (self.asks, self.answers, self.recalls):
            if queue:
                queue.pop(pick % len(queue))  # type: ignore[attr-defined] # lists of three kinds

    # ---- the disk, death and the operator ---------------------------------------------------------------------------------
    def book(self, gateway: Gateway) -> None:
        """The oldest that was settled reaches the books; a boot whose last has arrived is closed."""
        if gateway.unbooked:
            booking = gateway.unbooked.pop(0)
            for name in booking.names:
                key = (name, gateway.boot)
                self.authority.spent[key] = self.authority.spent.get(key, 0) + booking.amount
        if gateway.dead and not gateway.unbooked:
            self.authority.closed.add(gateway.boot)

    def kill(self, gateway: Gateway) -> None:
        """Its requests are charged at their holds, by whoever finds its spool; another boot takes its place."""
        gateway.dead = True
        for request in gateway.requests:
            request.spent = request.hold.tokens
            self._to_books(gateway, request)
        gateway.requests.clear()
        self.graves.append(gateway)
        self.gateways.remove(gateway)
        self.gateways.append(Gateway(f"boot-{self.boots}", self.random.uniform(-5, 5)))
        self.boots += 1

    def change_limit(self, scope: str, limit: int) -> None:
        """For everybody at once; what was promised on the higher one stands."""
        self.limits[scope] = limit
        self.highest[scope] = max(limit, self.highest[scope])
        self.version += 1

    # ---- laws ---------------------------------------------------------------------------------------------------------------
    def breaches(self) -> list[str]:
        """Every law that does not hold now."""
        return [*self._promises(), *self._conservation(), *self._spending()]

    def _promises(self) -> list[str]:
        names = {name for name, _ in (*self.authority.spent, *self.authority.granted)}
        return [
            f"{name}: {promised} promised of {self.highest[name[0]]}"
            for name in names
            if (promised := self.authority.promised(name)) > self.highest[name[0]] + self.overdrawn.get(name, 0)
        ]

    def _conservation(self) -> list[str]:
        found = []
        for gateway in self.gateways:
            for name, account in gateway.accounts.items():
                held = sum(request.hold.tokens for request in gateway.requests if account in request.hold.accounts)
                row = self.authority.granted.get((name, gateway.boot))
                if account.reserved_tokens != held:
                    found.append(f"{gateway.boot} {name}: {account.reserved_tokens} reserved for holds of {held}")
                if account.settled_tokens < 0 or account.reserved_tokens < 0:
                    found.append(f"{gateway.boot} {name}: negative")
                if account.granted_tokens > (row.tokens or 0 if row else 0):
                    found.append(f"{gateway.boot} {name}: believes {account.granted_tokens}, the books say {row}")
                free = account.granted_tokens - account.settled_tokens - account.reserved_tokens
                if free + account.settled_tokens + account.reserved_tokens != account.granted_tokens:
                    found.append(f"{gateway.boot} {name}: held + settled + free is not the grant")
        return found

    def _spending(self) -> list[str]:
        spent: dict[Name, int] = {}
        for gateway in (*self.gateways, *self.graves):
            for booking in gateway.unbooked:
                for name in booking.names:
                    spent[name] = spent.get(name, 0) + booking.amount
        for (name, _), amount in self.authority.spent.items():
            spent[name] = spent.get(name, 0) + amount
        return [
            f"{name}: {amount} spent of {self.highest[name[0]]}, {self.overdrawn.get(name, 0)} of it beyond holds"
            for name, amount in spent.items()
            if amount > self.highest[name[0]] + self.overdrawn.get(name, 0)
        ]
