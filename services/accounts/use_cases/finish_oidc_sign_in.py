"""Finish a sign-in that comes back from its identity provider: recognise the person, apply the mapping, let them in."""

import secrets
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy.exc import IntegrityError

from accounts.domain.oidc import Person, UnusableClaims, person_of
from accounts.domain.opaque_tokens import digest_of
from accounts.domain.principal import SYSTEM, Origin, Principal
from accounts.domain.sessions import Tokens
from accounts.outbound.identity_provider import IdentityProvider, ProviderAway, SignInInvalid
from accounts.outbound.metrics import LOGINS
from accounts.outbound.oidc_flows import Flow, SignInCode, add_code
from accounts.use_cases.apply_mapping import apply_mapping
from accounts.use_cases.authorize_caller import missing
from accounts.use_cases.context import Context
from accounts.use_cases.open_session import open_session
from accounts.use_cases.recognise_person import recognise_person
from accounts.use_cases.refuse_sign_in import SignInRefused, note_refusal
from common.problems import Unauthenticated, Unavailable

CODE_SECONDS = 60


class ProviderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser brings from the provider: a code, or none because it was refused there."""

    code: str | None
    issuer: str | None


class ProgramMayFetch(msgspec.Struct, frozen=True, kw_only=True):
    """The sign-in succeeded; the program that waits for it fetches its tokens with the code, once and soon."""

    code: str


async def finish_oidc_sign_in(context: Context, origin: Origin, flow: Flow, answer: ProviderAnswer) -> Tokens | ProgramMayFetch:
    """A session, or a code for the program that asked for one.

    Raises Unauthenticated when the provider's answer proves nothing, SignInRefused, Unavailable.
    """
    stranger = Principal(kind="anonymous", id=None, origin=origin)
    provider = context.oidc.get(flow.provider)
    if provider is None:
        raise missing()
    try:
        person = await _vouched_for(provider, flow, answer)
    except Unauthenticated:
        await note_refusal(context, stranger, flow.provider, "invalid_answer")
        raise
    try:
        try:
            return await _let_in(context, origin, flow, person, provider)
        except IntegrityError:  # the same person for the first time, twice at once: now the other is committed
            return await _let_in(context, origin, flow, person, provider)
    except SignInRefused as refused:
        await note_refusal(context, stranger, flow.provider, refused.reason, person.email)
        raise


async def _vouched_for(provider: IdentityProvider, flow: Flow, answer: ProviderAnswer) -> Person:
    if answer.code is None:
        raise Unauthenticated("The identity provider did not let you in; begin again.")
    try:
        claims = await provider.claims(code=answer.code, verifier=flow.code_verifier, nonce=flow.nonce, issuer=answer.issuer)
        return person_of(claims, provider.config.groups_claim)
    except (SignInInvalid, UnusableClaims):
        raise Unauthenticated("The identity provider's answer is not valid; begin again.") from None
    except ProviderAway:
        raise Unavailable("The identity provider does not answer; try again.") from None


async def _let_in(
    context: Context, origin: Origin, flow: Flow, person: Person, provider: IdentityProvider
) -> Tokens | ProgramMayFetch:
    system = msgspec.structs.replace(SYSTEM, origin=origin)
    async with context.engine.begin() as connection:
        user = await recognise_person(connection, system, person, provider.config)
        await apply_mapping(connection, system, person, provider.config, user.id)
        if flow.code_challenge is None:
            LOGINS.labels("ok").inc()
            return await open_session(context, connection, user.id, method="oidc", origin=origin)
        code = secrets.token_urlsafe(32)
        await add_code(
            connection,
            SignInCode(
                digest=digest_of(code),
                user_id=user.id,
                provider=flow.provider,
                code_challenge=flow.code_challenge,
                expires_at=datetime.now(UTC) + timedelta(seconds=CODE_SECONDS),
            ),
        )
    return ProgramMayFetch(code=code)
