"""Rate leases: how gateways share limits per minute and limits on concurrency (request/reply, JSON).

A lease says how much more than at the moment of its ask a boot may use before `valid_ms` have passed on its own clock, counted from
the sending of the ask. The authority answers so that over all boots, used + leased never passes the limit. What a boot has used is its
own count over the last 60 seconds, so it shrinks by itself; slots are requests in flight.
"""

from typing import Literal

import msgspec

RateScopeName = Literal["organization", "project", "key", "member", "end_user", "ip"]


class RateAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One scope of an asking boot; ids are those of grants.ScopeAsk, an address for `ip`. `limit_*` None = no limit in that unit.

    `seq` rises with every ask of this boot, over all scopes, so that one that was forgotten and comes back does not begin anew; an
    older one than the last seen for the scope changes nothing and is not answered with a lease. `used_*`: in the last 60 seconds,
    slots now. `kept_*`: what the boot still may use of its present lease, which it has lowered to that before sending; the answer is
    never less. `want_*`: how much is wanted in all, `need_*`: what requests wait for; of that, all that is free is given.
    """

    scope: str
    scope_id: str
    seq: int
    limit_version: int = 0
    limit_requests: int | None = None
    limit_tokens: int | None = None
    limit_slots: int | None = None
    used_requests: int = 0
    used_tokens: int = 0
    used_slots: int = 0
    kept_requests: int = 0
    kept_tokens: int = 0
    kept_slots: int = 0
    want_requests: int = 0
    want_tokens: int = 0
    want_slots: int = 0
    need_requests: int = 0
    need_tokens: int = 0
    need_slots: int = 0


class RatesAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What one boot asks in one message."""

    gateway: str
    boot: str
    asks: tuple[RateAsk, ...]


class RateAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lease of the asking boot (below zero: it is beyond what is left for it), and what all others have used or leased (`others_*`).

    `idle_*`: so much of that may come back when it is recalled: leases of boots that live, and their slots in use.
    """

    scope: str
    scope_id: str
    seq: int
    lease_requests: int = 0
    lease_tokens: int = 0
    lease_slots: int = 0
    others_requests: int = 0
    others_tokens: int = 0
    others_slots: int = 0
    idle_requests: int = 0
    idle_tokens: int = 0
    idle_slots: int = 0


class RatesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answers in the order of the asks; `gateways`: how many live ones the authority has heard of lately.

    `rank`: the place of the asking boot among them, from 0; None = it is none of them yet. What is left over when a limit is divided by
    their number belongs to those that come first.
    """

    answers: tuple[RateAnswer, ...]
    valid_ms: int
    gateways: int = 1
    rank: int | None = None


class RatesRecall(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody waits for what others may not need of these (scope, scope id): every other boot than `boot` keeps only what its own
    waiting requests need, and tells at once how it stands.
    """

    boot: str
    scopes: tuple[tuple[str, str], ...]
