"""Accept an invitation: as the user with its email, or as a new one where there is none."""

from dataclasses import dataclass

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.objects import Member, Organization
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.invitations import mark_accepted
from accounts.outbound.members import find_member
from accounts.outbound.users import add_user
from accounts.use_cases.admit_member import admit_member
from accounts.use_cases.context import Context
from accounts.use_cases.preview_invitation import Preview, open_invitation
from common.contracts.identifiers import uuid7
from common.problems import Conflict, Forbidden, Invalid, Unauthenticated


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who somebody without an account wants to be."""

    name: str
    password: str


async def accept_invitation(
    context: Context, caller: Principal, token: str, newcomer: Newcomer | None
) -> tuple[Member, Organization]:
    """The new member; nobody is signed in by this.

    An account that exists is only ever made a member by who has signed in to it. Raises NotFound (the token), Unauthenticated
    (sign in), Forbidden (as somebody else), Invalid (a new account needs name and password), Conflict (is a member).
    """
    async with context.engine.begin() as connection:
        _check(caller, await open_invitation(connection, token), newcomer)
    hashed = None if newcomer is None else await context.passwords.hash(newcomer.password)
    try:
        async with context.engine.begin() as connection:
            preview = await open_invitation(connection, token, locked=True)
            _check(caller, preview, newcomer)
            if newcomer is not None and hashed is not None:
                caller = await _add_user(connection, caller, preview, newcomer.name, hashed)
            member = await _join(connection, caller, preview)
    except IntegrityError:
        raise _sign_in() from None
    return member, preview.organization


def _check(caller: Principal, preview: Preview, newcomer: Newcomer | None) -> None:
    """Whether this caller may accept it."""
    match caller.kind:
        case "anonymous" if preview.user_id is not None:
            raise _sign_in()
        case "anonymous" if preview.provider is not None:  # whoever sees a link must not make up a colleague with a password
            raise Unauthenticated(f"People with this email sign in by {preview.provider}: do that, then accept the invitation.")
        case "anonymous" if newcomer is None:
            missing = [{"field": field, "message": "needed for a new account"} for field in ("name", "password")]
            raise Invalid("There is no account with this email yet: give a name and a password for it.", errors=missing)
        case "anonymous":
            return
        case "user" if caller.scopes is None and caller.id == preview.user_id:
            if newcomer is not None:
                raise Invalid(
                    "You have signed in; give the token alone.", errors=[{"field": "password", "message": "not needed"}]
                )
        case _:
            raise Forbidden("The invitation is somebody else's; sign in with the email it was sent to.")


async def _add_user(connection: AsyncConnection, caller: Principal, preview: Preview, name: str, password_hash: str) -> Principal:
    user_id, email = uuid7(), preview.invitation.email
    await add_user(connection, user_id, email, password_hash, name=name)
    user = msgspec.structs.replace(caller, kind="user", id=user_id, name=email)
    await note(connection, user, "user.created", user_id, after={"email": email, "name": name})
    return user


async def _join(connection: AsyncConnection, caller: Principal, preview: Preview) -> Member:
    organization_id = preview.organization.id
    present = await find_member(connection, organization_id, caller.subject, locked=True)
    if present is not None and present.status != "ended":
        raise Conflict("You are a member already.")
    member = await admit_member(connection, caller, organization_id, caller.subject, preview.invitation.role)
    await mark_accepted(connection, preview.invitation.id)
    return member


def _sign_in() -> Unauthenticated:
    return Unauthenticated("There is an account with the email of this invitation: sign in, then accept it.")
