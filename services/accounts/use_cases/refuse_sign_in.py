"""Refuse a sign-in through a provider, and write down that it was."""

from accounts.domain.oidc import Refusal
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.metrics import LOGINS
from accounts.use_cases.context import Context
from common.problems import Forbidden


class SignInRefused(Forbidden):
    """The provider has vouched for somebody whom we do not let in; the member `reason` says why."""

    code = "sign_in_refused"

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(detail, reason=reason)
        self.reason = reason


async def note_refusal(context: Context, caller: Principal, provider: str, reason: str, email: str | None = None) -> None:
    """In a transaction of its own: that of the sign-in is undone."""
    LOGINS.labels("refused").inc()
    told = {"method": "oidc", "provider": provider, "reason": reason, "email": email}
    async with context.engine.begin() as connection:
        await note(connection, caller, "auth.sign_in_refused", None, after=told)
