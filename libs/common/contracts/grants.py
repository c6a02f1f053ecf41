"""Budget grants: what a gateway asks of usage and what it is answered (request/reply, JSON).

All amounts are cumulative per boot, scope and period, so a lost, repeated or late message changes nothing. A gateway admits a
request iff settled + reserved + estimate ≤ granted, in every unit that has a limit. `None` granted = the unit has no limit.
Money is nano-USD.
"""

from typing import Final, Literal

import msgspec

LONGEST_CONTACT_SECONDS: Final = 900.0
"""After so long without an answer no gateway lets in anything more on what it was granted: whoever releases a silent one relies on it."""

ScopeName = Literal["organization", "project", "key", "member", "end_user"]
"""What a budget can belong to. The id of an end user is `<project id>/<the OpenAI field user>`, that of a member is
`<organization id>/<member id>`."""


class ScopeAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One scope and period of an asking boot.

    `seq` rises with every ask of this boot for this scope and period; an older one than the last seen changes nothing.
    `need_*`: by how much more than what is granted the first of the waiting requests needs; `waiting_*`: all of them together;
    `want_*`: what would be comfortable.
    `returning`: the gateway has lowered its own grant to `granted_*` before sending this.
    `limit_*`: the scope's limits in this period as the gateway knows them, of version `limit_version`; usage goes by the newest
    version that anybody has told it.
    """

    scope: str
    scope_id: str
    period: str
    limit_version: int
    seq: int
    settled_tokens: int = 0
    settled_nanousd: int = 0
    reserved_tokens: int = 0
    reserved_nanousd: int = 0
    granted_tokens: int | None = 0
    granted_nanousd: int | None = 0
    need_tokens: int = 0
    need_nanousd: int = 0
    want_tokens: int = 0
    want_nanousd: int = 0
    returning: bool = False
    limit_tokens: int | None = None
    limit_nanousd: int | None = None
    waiting_tokens: int = 0
    waiting_nanousd: int = 0


class GrantAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What one boot asks in one message."""

    gateway: str
    boot: str
    asks: tuple[ScopeAsk, ...]


class ScopeAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The committed grant of the asking boot after this ask, and where the scope stands.

    status: granted | exhausted (what was needed is not there; used + held leave less) | recalling (it is not there now, but other
    boots hold enough and have been asked to return what they do not need: ask again at once) | stale_limits (usage has not seen the
    asked limit version yet, or has booked more of this boot than it remembers to have spent: nothing of the ask has been stored, a return
    has not been heard, ask again) | closed (this boot has been
    closed or released: it is granted 0 in every unit that has a limit, and must stop spending).
    """

    scope: str
    scope_id: str
    period: str
    seq: int
    status: Literal["granted", "exhausted", "recalling", "stale_limits", "closed"]
    limit_version: int = 0
    granted_tokens: int | None = 0
    granted_nanousd: int | None = 0
    used_tokens: int = 0
    used_nanousd: int = 0
    held_tokens: int = 0
    held_nanousd: int = 0
    limit_tokens: int | None = None
    limit_nanousd: int | None = None


class GrantAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answers in the order of the asks; `answered_at` (Unix milliseconds, the authority's clock) shows clock skew.

    `gateways`: how many live ones the authority has heard of lately.
    """

    answers: tuple[ScopeAnswer, ...]
    answered_at: int
    gateways: int = 1


class Recall(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody needs budget of these (scope, scope id, period): every other boot than `boot` returns what it has not reserved."""

    boot: str
    scopes: tuple[tuple[str, str, str], ...]
