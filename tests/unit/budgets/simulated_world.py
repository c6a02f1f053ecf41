"""Gateways and the budget authority on paper: the rules of both sides as they are, with a clock, a network and a disk that are made up."""

import random
from collections import Counter
from dataclasses import dataclass, field

from common.contracts.grants import ScopeAnswer, ScopeAsk
from gateway.domain.budget import Hold, ScopeAccount
from gateway.domain.grant_pace import GrantPace
from usage.outbound.grants_store import GrantRow, ScopeBooks
from usage.use_cases.answer_grants import answer_scope

PERIOD_SECONDS = 40.0
SLICE = 10
RATE = 3
"""Nano-USD of a token."""

Name = tuple[str, str, str]
Amounts = tuple[int, int]
"""Tokens and nano-USD."""

Limit = tuple[int | None, int | None]


def priced(tokens: int) -> Amounts:
    return tokens, tokens * RATE


@dataclass
class Request:
    """One request under way; a sliced one may turn out to need up to a slice more than it holds."""

    hold: Hold
    sliced: bool


@dataclass
class Booking:
    """What a request has spent, on its way to the books."""

    names: tuple[Name, ...]
    amounts: Amounts


class Gateway:
    """One boot. `skew`: how far its clock is off. `exposed`: by account, how many streams were under way at the last hold that was
    taken: each of them may spend a slice beyond what it holds, and nobody after them is let in on it.
    """

    def __init__(self, boot: str, skew: float) -> None:
        self.boot, self.skew = boot, skew
        self.accounts: dict[Name, ScopeAccount] = {}
        self.paces: dict[Name, GrantPace] = {}
        self.requests: list[Request] = []
        self.unbooked: list[Booking] = []
        self.ended: Counter[tuple[Name, str]] = Counter()
        self.exposed: dict[Name, int] = {}
        self.paused = self.dead = False

    def account(self, name: Name, limit: Limit, version: int, now: float) -> ScopeAccount:
        """The account of that name; newer limits are adopted, and what lower ones do not cover is returned."""
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = ScopeAccount(*name, *limit, version)
            self.paces[name] = GrantPace(found, priced(SLICE), now)
        elif found.change_limits(*limit, version):
            found.give_back()
        return found

    def streams(self, account: ScopeAccount) -> int:
        """How many of them count against it now."""
        return sum(request.sliced and account in request.hold.accounts for request in self.requests)


@dataclass
class Authority:
    """The books: what was spent and granted by boot, and which boots are closed."""

    spent: Counter[tuple[Name, str, int]] = field(default_factory=Counter)
    granted: dict[tuple[Name, str], GrantRow] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def answer(self, boot: str, ask: ScopeAsk, limit: Limit, version: int, gateways: int) -> ScopeAnswer:
        """Decide and store, in one step: the database serializes."""
        name = (ask.scope, ask.scope_id, ask.period)
        answer, row = answer_scope(ask, self.books(name, boot, limit, version), None, active_gateways=gateways)
        if row is not None:
            self.granted[name, boot] = row
        return answer

    def books(self, name: Name, boot: str, limit: Limit, version: int) -> ScopeBooks:
        """As the database tells them to whoever decides for a boot."""
        own = self.granted.get((name, boot))
        total, held = [0, 0], [0, 0]
        for unit in (0, 1):
            total[unit] = sum(amount for (scope, _, it), amount in self.spent.items() if scope == name and it == unit)
            held[unit] = sum(
                max(0, (_granted(row, unit) or 0) - self.spent[name, other, unit])
                for (scope, other), row in self.granted.items()
                if scope == name and other != boot and other not in self.closed
            )
        return ScopeBooks(
            *name,
            spent_tokens=total[0],
            spent_nanousd=total[1],
            limit_version=version,
            limit_tokens=limit[0],
            limit_nanousd=limit[1],
            ask_seq=own.seq if own else None,
            granted_tokens=own.tokens if own else None,
            granted_nanousd=own.nanousd if own else None,
            boot_tokens=self.spent[name, boot, 0],
            boot_nanousd=self.spent[name, boot, 1],
            held_tokens=held[0],
            held_nanousd=held[1],
            boot_closed=boot in self.closed,
        )

    def promised(self, name: Name, unit: int) -> int:
        """All that was spent of a scope, and what open boots may still spend."""
        boots = {boot for scope, boot, *_ in (*self.spent, *self.granted) if scope == name}
        total = 0
        for boot in boots:
            spent, row = self.spent[name, boot, unit], self.granted.get((name, boot))
            total += spent if boot in self.closed or row is None else max(spent, _granted(row, unit) or 0)
        return total


def _granted(row: GrantRow, unit: int) -> int | None:
    return row.nanousd if unit else row.tokens


class World:
    """Some gateways, one authority, and a network that delays, loses, repeats and reorders. `done` counts what has happened, so that a
    test can tell whether it has tested anything; `broken` what must never happen between two steps.
    """

    def __init__(self, seed: int, *, gateways: int, project_limit: int, key_limit: int) -> None:
        self.random = random.Random(seed)
        self.now = 1_000.0
        self.version = 1
        self.limits: dict[str, Limit] = {"project": (project_limit, None), "key": (key_limit, key_limit * RATE)}
        self.highest: dict[str, Limit] = dict(self.limits)
        self.authority = Authority()
        self.gateways = [Gateway(f"boot-{number}", self.random.uniform(-5, 5)) for number in range(gateways)]
        self.graves: list[Gateway] = []
        self.asks: list[tuple[Gateway, ScopeAsk]] = []
        self.answers: list[tuple[Gateway, ScopeAnswer]] = []
        self.recalls: list[tuple[Gateway, Name]] = []
        self.boots = gateways
        self.done: Counter[str] = Counter()
        self.broken: list[str] = []

    def pass_time(self, seconds: float) -> None:
        """On every clock; periods that have been over for long are forgotten by everybody, unless something is still held in them."""
        self.now += seconds
        over = f"day-{int(self.now // PERIOD_SECONDS) - 6}", f"month-{int(self.now // PERIOD_SECONDS) // 4 - 3}"
        self._forget({name for gateway in (*self.gateways, *self.graves) for name in gateway.accounts if _is_older(name, over)})

    def _forget(self, names: set[Name]) -> None:
        held = {
            _name(account)
            for gateway in (*self.gateways, *self.graves)
            for hold in (request.hold for request in gateway.requests)
            for account in hold.accounts
        }
        held |= {name for gateway in (*self.gateways, *self.graves) for booking in gateway.unbooked for name in booking.names}
        gone = names - held
        for gateway in (*self.gateways, *self.graves):
            for name in gone:
                for kept in (gateway.accounts, gateway.paces, gateway.exposed):
                    kept.pop(name, None)
        self.asks = [(gateway, ask) for gateway, ask in self.asks if (ask.scope, ask.scope_id, ask.period) not in gone]
        self.answers = [(gateway, it) for gateway, it in self.answers if (it.scope, it.scope_id, it.period) not in gone]
        self.recalls = [(gateway, name) for gateway, name in self.recalls if name not in gone]
        self.authority.spent = Counter({key: amount for key, amount in self.authority.spent.items() if key[0] not in gone})
        self.authority.granted = {key: row for key, row in self.authority.granted.items() if key[0] not in gone}

    # ---- requests ------------------------------------------------------------------------------------------------------
    def names(self, gateway: Gateway) -> tuple[Name, ...]:
        """What a request counts against that this gateway lets in now, by its own clock."""
        number = int((self.now + gateway.skew) // PERIOD_SECONDS)
        return (("project", "p", f"month-{number // 4}"), ("project", "p", f"day-{number}"), ("key", "k", f"month-{number // 4}"))

    def accounts(self, gateway: Gateway) -> tuple[ScopeAccount, ...]:
        """The same, as the gateway keeps them."""
        return tuple(gateway.account(name, self.limits[name[0]], self.version, self.now) for name in self.names(gateway))

    def admit(self, gateway: Gateway, estimate: int, *, sliced: bool) -> bool:
        """Let a request in if the grants at hand cover it."""
        if gateway.paused or gateway.dead:
            return False
        accounts = self.accounts(gateway)
        hold = Hold(accounts)
        tokens, nanousd = priced(SLICE if sliced else estimate)
        if not hold.try_take(tokens, nanousd):
            self.done["refused"] += 1
            return False
        for account in accounts:
            self._pace(gateway, account).touched(tokens, nanousd, self.now)
        gateway.requests.append(Request(hold, sliced))
        self._note_exposure(gateway, hold)
        self.done["sliced" if sliced else "strict"] += 1
        return True

    def extend(self, gateway: Gateway, request: Request) -> bool:
        """One more slice for a stream."""
        if gateway.paused or not request.hold.try_take(*priced(SLICE)):
            return False
        self._note_exposure(gateway, request.hold)
        self.done["extended"] += 1
        return True

    def _note_exposure(self, gateway: Gateway, hold: Hold) -> None:
        for account in hold.accounts:
            gateway.exposed[_name(account)] = gateway.streams(account)

    def end(self, gateway: Gateway, request: Request, spent: int) -> None:
        """Settle a request; a strict one has spent no more than its hold, a sliced one up to a slice more."""
        tokens = min(spent, request.hold.tokens + (SLICE if request.sliced else 0))
        gateway.requests.remove(request)
        self.settle(request.hold, priced(tokens))
        request.hold.settle(10**9, 10**9)  # a second time changes nothing
        self._to_books(gateway, request, priced(tokens))
        self.done["overran" if tokens > request.hold.tokens else "ended"] += 1

    def settle(self, hold: Hold, spent: Amounts) -> None:
        """As the gateway does it."""
        hold.settle(*spent)

    def _to_books(self, gateway: Gateway, request: Request, spent: Amounts) -> None:
        names = tuple(_name(account) for account in request.hold.accounts)
        gateway.unbooked.append(Booking(names, spent))
        for name in names:
            for unit in (0, 1):
                gateway.ended[name, "nanousd" if unit else "tokens"] += spent[unit]

    # ---- messages ------------------------------------------------------------------------------------------------------
    def _pace(self, gateway: Gateway, account: ScopeAccount) -> GrantPace:
        return gateway.paces[_name(account)]

    def ask(self, gateway: Gateway, need: int) -> int:
        """For every account it has; somebody may be waiting. How many asks were said."""
        if gateway.paused or gateway.dead:
            return 0
        self.accounts(gateway)
        waiting = (priced(need),) if need else ()
        now = self.names(gateway)
        paces = [pace for name, pace in gateway.paces.items() if name in now or pace.owes_return()]
        for pace in paces:
            self.asks.append((gateway, pace.shape(waiting, self.now)))
            pace.in_flight = False
        return len(paces)

    def hear_ask(self, pick: int, *, again: bool) -> None:
        """The authority hears an ask, perhaps once more than it was said."""
        if not self.asks:
            return
        gateway, ask = self.asks[pick % len(self.asks)]
        if not again:
            self.asks.remove((gateway, ask))
        name, limit = (ask.scope, ask.scope_id, ask.period), self.limits[ask.scope]
        before = [self.authority.promised(name, unit) for unit in (0, 1)]
        answer = self.authority.answer(gateway.boot, ask, limit, self.version, len(self.gateways))
        self._check_new_promises(name, limit, before, ask)
        self.answers.append((gateway, answer))
        self.done[answer.status] += 1
        self.done["returned"] += ask.returning
        if answer.status == "recalling":
            self.recalls += [(other, name) for other in self.gateways if other is not gateway]

    def _check_new_promises(self, name: Name, limit: Limit, before: list[int], ask: ScopeAsk) -> None:
        """Nothing more is promised beyond the limit as it is now, whatever was promised when it was higher. What a boot has spent or
        reserved beyond its grant counts as promised once it tells."""
        told = (ask.settled_tokens + ask.reserved_tokens, ask.settled_nanousd + ask.reserved_nanousd)
        for unit, most in enumerate(limit):
            after = self.authority.promised(name, unit)
            if most is not None and after > before[unit] and after > max(most, before[unit]) + self._exposure(name, unit):
                self.broken.append(f"{name}: {before[unit]} promised, now {after} of {most}; the boot told {told[unit]}")

    def hear_answer(self, pick: int, *, again: bool) -> None:
        """A gateway hears an answer, however old."""
        if not self.answers:
            return
        gateway, answer = self.answers[pick % len(self.answers)]
        if gateway.paused or gateway.dead:
            return
        if not again:
            self.answers.remove((gateway, answer))
        self.take(gateway.paces[answer.scope, answer.scope_id, answer.period], answer)

    def take(self, pace: GrantPace, answer: ScopeAnswer) -> None:
        """As the gateway does it."""
        pace.take(answer, self.now)

    def hear_recall(self, pick: int) -> None:
        """A gateway returns what it has not reserved; its next ask says so."""
        if not self.recalls:
            return
        gateway, name = self.recalls.pop(pick % len(self.recalls))
        if not gateway.paused and not gateway.dead and name in gateway.paces:
            self.done["recalled"] += self.recall(gateway.paces[name])

    def recall(self, pace: GrantPace) -> bool:
        """As the gateway does it."""
        return pace.recall(self.now)

    def converse(self, gateway: Gateway, need: int) -> None:
        """As it goes where nothing is lost: asked, heard, recalled, returned, asked again, answered."""
        for _ in range(2):
            for _ in range(self.ask(gateway, need)):
                self.hear_ask(-1, again=False)
                self.hear_answer(-1, again=False)
            for other in {id(it): it for it, _ in self.recalls}.values():
                while any(it is other for it, _ in self.recalls):
                    self.hear_recall(next(number for number, (it, _) in enumerate(self.recalls) if it is other))
                for _ in range(self.ask(other, 0)):
                    self.hear_ask(-1, again=False)
                    self.hear_answer(-1, again=False)

    def serve(self, gateway: Gateway, estimate: int, *, sliced: bool) -> bool:
        """A request comes, waits for a grant where it needs one, and is let in if there is any."""
        if self.admit(gateway, estimate, sliced=sliced):
            return True
        self.converse(gateway, SLICE if sliced else estimate)
        return self.admit(gateway, estimate, sliced=sliced)

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
                for unit in (0, 1):
                    self.authority.spent[name, gateway.boot, unit] += booking.amounts[unit]
        if gateway.dead and not gateway.unbooked and gateway.boot not in self.authority.closed:
            self.authority.closed.add(gateway.boot)
            self.done["closed"] += 1

    def kill(self, gateway: Gateway) -> None:
        """Its requests are charged at their holds, by whoever finds its spool; another boot takes its place."""
        gateway.dead = True
        self.done["died holding"] += bool(gateway.requests)
        for request in gateway.requests:
            self._to_books(gateway, request, (request.hold.tokens, request.hold.nanousd))
        gateway.requests.clear()
        self.graves.append(gateway)
        self.gateways.remove(gateway)
        self.gateways.append(Gateway(f"boot-{self.boots}", self.random.uniform(-5, 5)))
        self.boots += 1

    def release(self, gateway: Gateway) -> None:
        """An operator declares a boot dead whose node is lost for ever: nothing more of it will ever be heard or spent."""
        if gateway.dead and gateway.unbooked:
            self.authority.closed.add(gateway.boot)
            self.done["released"] += 1

    def change_limit(self, scope: str, tokens: int) -> None:
        """For everybody at once; what was promised on the higher one stands."""
        limit: Limit = (tokens, tokens * RATE if scope == "key" else None)
        self.limits[scope] = limit
        self.highest[scope] = tuple(  # type: ignore[assignment] # of two
            None if new is None else max(new, old or 0) for new, old in zip(limit, self.highest[scope], strict=True)
        )
        self.version += 1
        for gateway in self.gateways:
            for name in list(gateway.accounts):
                gateway.account(name, self.limits[name[0]], self.version, self.now)

    # ---- laws ---------------------------------------------------------------------------------------------------------------
    def breaches(self) -> list[str]:
        """Every law that does not hold now."""
        return [*self.broken, *self._bounds(), *self._conservation()]

    def _exposure(self, name: Name, unit: int) -> int:
        """The stated bound: one slice for every stream that was under way when a gateway last let something in."""
        streams = sum(gateway.exposed.get(name, 0) for gateway in (*self.gateways, *self.graves))
        return priced(SLICE * streams)[unit]

    def _bounds(self) -> list[str]:
        found = []
        names = {name for name, *_ in (*self.authority.spent, *self.authority.granted)}
        names |= {name for gateway in (*self.gateways, *self.graves) for name in gateway.accounts}
        for name in names:
            for unit, most in enumerate(self.highest[name[0]]):
                if most is None:
                    continue
                bound = most + self._exposure(name, unit)
                spent, promised = self._spent(name, unit), self.authority.promised(name, unit)
                if spent > bound:
                    found.append(f"{name}: {spent} spent of {most}, bound {bound}")
                if promised > bound:
                    found.append(f"{name}: {promised} promised of {most}, bound {bound}")
        return found

    def _spent(self, name: Name, unit: int) -> int:
        unbooked = sum(
            booking.amounts[unit]
            for gateway in (*self.gateways, *self.graves)
            for booking in gateway.unbooked
            if name in booking.names
        )
        return unbooked + sum(amount for (scope, _, it), amount in self.authority.spent.items() if scope == name and it == unit)

    def _conservation(self) -> list[str]:
        found = []
        for gateway in self.gateways:
            for name, account in gateway.accounts.items():
                held = [request.hold for request in gateway.requests if account in request.hold.accounts]
                row = self.authority.granted.get((name, gateway.boot))
                kept = (
                    ("tokens", account.limit_tokens, account.granted_tokens, account.settled_tokens, account.reserved_tokens),
                    (
                        "nanousd",
                        account.limit_nanousd,
                        account.granted_nanousd,
                        account.settled_nanousd,
                        account.reserved_nanousd,
                    ),
                )
                for unit, (what, limit, granted, settled, reserved) in enumerate(kept):
                    promised = (_granted(row, unit) if row else 0) or 0
                    if reserved != sum(hold.nanousd if unit else hold.tokens for hold in held):
                        found.append(f"{gateway.boot} {name}: {reserved} {what} reserved for holds of {held}")
                    if settled != gateway.ended[name, what]:
                        found.append(f"{gateway.boot} {name}: {settled} {what} settled of {gateway.ended[name, what]} spent")
                    if limit is not None and granted > promised:
                        found.append(f"{gateway.boot} {name}: believes in {granted} {what}, the books say {promised}")
                    free = granted - settled - reserved
                    if limit is not None and free < -priced(SLICE * gateway.exposed.get(name, 0))[unit]:
                        found.append(f"{gateway.boot} {name}: {free} {what} free")
        return found


def _name(account: ScopeAccount) -> Name:
    return (account.scope, account.scope_id, account.period)


def _is_older(name: Name, over: tuple[str, str]) -> bool:
    kind, _, number = name[2].partition("-")
    return int(number) < int(over[kind == "month"].partition("-")[2])
