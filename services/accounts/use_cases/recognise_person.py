"""Recognise the person whom an identity provider vouches for as a user: a known one, or a new one where that is foreseen."""

from sqlalchemy.ext.asyncio import AsyncConnection

from accounts.domain.oidc import Person, ProviderConfig, vouched_domain
from accounts.domain.principal import Principal
from accounts.outbound.audit import note
from accounts.outbound.identity_mappings import find_domain
from accounts.outbound.oidc_identities import (
    SignedInUser,
    add_identity,
    add_passwordless_user,
    find_addressed,
    find_identified,
    has_identity,
    note_identity_seen,
)
from accounts.use_cases.refuse_sign_in import SignInRefused
from common.contracts.identifiers import uuid7


async def recognise_person(
    connection: AsyncConnection, caller: Principal, person: Person, config: ProviderConfig
) -> SignedInUser:
    """The active user. Raises SignInRefused.

    A subject seen before is the user it was, whatever its address is now. A new one must come with an address in a domain that
    is mapped to this very provider; else whoever runs any provider could become anybody.
    """
    user = await find_identified(connection, person.issuer, person.subject)
    if user is None:
        user = await _introduced(connection, caller, person, config)
    if user.status != "active":
        raise SignInRefused("suspended", "This user is suspended.")
    await note_identity_seen(connection, person)
    return user


async def _introduced(connection: AsyncConnection, caller: Principal, person: Person, config: ProviderConfig) -> SignedInUser:
    domain = vouched_domain(person, config)
    if domain is None or person.email is None:
        raise SignInRefused("email_unverified", "The identity provider does not say that the email address is verified.")
    mapping = await find_domain(connection, domain)
    if mapping is None or mapping.provider != config.name:
        raise SignInRefused("domain_unmapped", f"People of {domain} do not sign in here by this identity provider.")
    user = await find_addressed(connection, person.email)
    if user is None:
        user = await add_passwordless_user(connection, uuid7(), person.email, person.name)
        told = {"email": user.email, "name": person.name, "provider": config.name}
        await note(connection, caller, "user.created", user.id, after=told)
    else:
        await _check_link(connection, person, user)
    await add_identity(connection, person, user.id)
    return user


async def _check_link(connection: AsyncConnection, person: Person, user: SignedInUser) -> None:
    if not person.email_verified:
        raise SignInRefused("email_unverified", "There is a user with this address, and the provider has not verified it.")
    if await has_identity(connection, person.issuer, user.id):  # the address has passed on to somebody else
        raise SignInRefused("already_linked", "The user with this address is another person at the identity provider.")
