"""Sign-ins on their way in SQL: begun at a provider, and finished but not yet fetched. Of what travels only digests are here."""

from datetime import datetime

import msgspec
from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.outbound.tables import oidc_flows, sign_in_codes


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that a browser has begun; with `return_to` a program waits for its end."""

    state_digest: str
    provider: str
    nonce: str
    code_verifier: str
    browser_digest: str
    return_to: str | None
    code_challenge: str | None
    expires_at: datetime


class SignInCode(msgspec.Struct, frozen=True, kw_only=True):
    """What a program fetches the tokens of a finished sign-in with."""

    digest: str
    user_id: str
    provider: str
    code_challenge: str
    expires_at: datetime


async def add_flow(connection: AsyncConnection, flow: Flow) -> None:
    """Insert."""
    await connection.execute(insert(oidc_flows).values(msgspec.structs.asdict(flow)))


async def take_flow(connection: AsyncConnection, state_digest: str, provider: str) -> Flow | None:
    """Find and delete: nobody gets it a second time."""
    taken = await connection.execute(
        delete(oidc_flows)
        .where(oidc_flows.c.state_digest == state_digest, oidc_flows.c.provider == provider)
        .returning(oidc_flows)
    )
    row = taken.one_or_none()
    return None if row is None else msgspec.convert(row, Flow, from_attributes=True)


async def add_code(connection: AsyncConnection, code: SignInCode) -> None:
    """Insert."""
    await connection.execute(insert(sign_in_codes).values(msgspec.structs.asdict(code)))


async def take_code(connection: AsyncConnection, digest: str) -> SignInCode | None:
    """Find and delete: nobody gets it a second time."""
    taken = await connection.execute(delete(sign_in_codes).where(sign_in_codes.c.digest == digest).returning(sign_in_codes))
    row = taken.one_or_none()
    return None if row is None else msgspec.convert(row, SignInCode, from_attributes=True)


async def forget_expired(connection: AsyncConnection, now: datetime) -> None:
    """What was begun and never finished."""
    for table in (oidc_flows, sign_in_codes):
        await connection.execute(delete(table).where(table.c.expires_at < now))
