"""Issue a long-lived token: a person's own, or one of a service account. The plaintext leaves once, the digest stays."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.access_tokens import DEFAULT_DAYS, LONGEST_DAYS, LongLivedToken
from accounts.domain.opaque_tokens import digest_of, hint_of, make
from accounts.domain.principal import Principal
from accounts.outbound.access_tokens import MOST_LIVE, add_token, count_live
from accounts.outbound.audit import note
from accounts.outbound.users import find_user
from accounts.use_cases.authorize_caller import authorize_user
from accounts.use_cases.authorize_membership_change import require_role_to_give
from accounts.use_cases.authorize_service_account import service_account_for
from accounts.use_cases.context import Context
from common.contracts.identifiers import uuid7
from common.contracts.roles import Permission
from common.problems import Conflict, Forbidden, Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What a new token is to be. `scopes` None = all that its bearer may do; `expires_at` None = in 90 days."""

    name: str
    scopes: list[Permission] | None = None
    expires_at: datetime | None = None


async def issue_personal_token(context: Context, caller: Principal, new: NewToken) -> tuple[LongLivedToken, str]:
    """The token and its plaintext. Raises Forbidden (has not signed in: no long-lived token makes another), Invalid, Conflict."""
    if caller.token_id is not None:
        raise Forbidden("Sign in to make a token; one that lives long cannot make another.")
    plaintext = make("personal")
    async with context.engine.begin() as connection:
        await authorize_user(connection, caller)
        await find_user(connection, caller.subject, locked=True)
        _require_room(await count_live(connection, "user", caller.subject))
        token = await _add(connection, plaintext, new, user_id=caller.subject)
        await note(connection, caller, "personal_token.created", token.id, after=token)
    return token, plaintext


async def issue_service_account_token(
    context: Context, caller: Principal, organization_id: str, service_account_id: str, new: NewToken
) -> tuple[LongLivedToken, str]:
    """The token and its plaintext. Raises NotFound, Forbidden (the account may more than the caller), Invalid, Conflict."""
    plaintext = make("service_account")
    async with context.engine.begin() as connection:
        account = await service_account_for(connection, caller, organization_id, service_account_id, to_change=True)
        await require_role_to_give(connection, caller, organization_id, account.role)
        if account.status == "ended":
            raise Conflict("The service account has been closed.")
        _require_room(await count_live(connection, "service_account", account.id))
        token = await _add(connection, plaintext, new, service_account_id=account.id)
        await note(connection, caller, "service_account_token.created", token.id, organization_id=organization_id, after=token)
    return token, plaintext


async def _add(connection: AsyncConnection, plaintext: str, new: NewToken, **bearer: str) -> LongLivedToken:
    return await add_token(
        connection,
        id=uuid7(),
        name=new.name,
        digest=digest_of(plaintext),
        hint=hint_of(plaintext),
        scopes=new.scopes,
        expires_at=_bounded(new.expires_at, datetime.now(UTC)),
        **bearer,
    )


def _bounded(wanted: datetime | None, now: datetime) -> datetime:
    if wanted is None:
        return now + timedelta(days=DEFAULT_DAYS)
    if not now < wanted <= now + timedelta(days=LONGEST_DAYS):
        wrong = {"field": "expires_at", "message": f"has to be in the future, and at most {LONGEST_DAYS} days from now"}
        raise Invalid("A token lives for a stated time.", errors=[wrong])
    return wanted


def _require_room(live: int) -> None:
    if live >= MOST_LIVE:
        raise Conflict(f"There are {MOST_LIVE} tokens that live, the most there may be; revoke some first.")
