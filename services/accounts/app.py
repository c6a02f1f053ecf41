"""Wiring: the only place that builds things."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TypedDict

from fastapi import Depends, FastAPI
from pydantic import SecretStr

from accounts.domain.oidc import SIGN_IN_PATH, parse_providers, parse_secrets
from accounts.domain.presence import PresenceView
from accounts.domain.throttle import Throttle
from accounts.inbound import (
    audit,
    bootstrap,
    errors,
    identity_mappings,
    invitations,
    keys,
    login,
    long_lived_tokens,
    me,
    members,
    notices,
    oidc,
    organizations,
    password_resets,
    plans,
    projects,
    service_accounts,
    sessions,
    users,
)
from accounts.inbound.caller import identified
from accounts.inbound.door import Door
from accounts.inbound.key_activity_listener import KeyActivityListener
from accounts.inbound.once import DocumentedApp, Once
from accounts.inbound.presence_listener import PresenceListener
from accounts.outbound.answer_vault import AnswerVault
from accounts.outbound.bus import Bus
from accounts.outbound.database import database_url, open_engine
from accounts.outbound.directory_bucket import DirectoryBucket
from accounts.outbound.identity_provider import IdentityProviders
from accounts.outbound.mail import Mail, mail_server
from accounts.outbound.passwords import Passwords
from accounts.outbound.token_signer import TokenSigner
from accounts.settings import Settings
from accounts.use_cases.context import Context
from accounts.use_cases.forget_leftovers import keep_forgetting
from accounts.use_cases.limit_requests import RequestLimit
from accounts.use_cases.mark_used_keys import mark_used_keys
from accounts.use_cases.reconcile_directory import keep_reconciled
from accounts.use_cases.relay_directory import relay_directory
from accounts.use_cases.remind_owners import keep_reminding
from accounts.use_cases.watch_dependencies import Dependencies
from common.cancelling import cancel_all
from common.contracts.access_tokens import JWKS_PATH
from common.contracts.api_keys import Peppers
from common.contracts.subjects import KEY_ACTIVITY, PRESENCE
from common.health import Dependency, health_routes

LOGINS_PER_MINUTE = 10
"""For one email from one address."""
LOGINS_PER_MINUTE_AND_ADDRESS = 300
OIDC_STARTS_PER_MINUTE = 120
"""From one address, behind which a whole company may sit."""
RESTART_SECONDS = 1.0
PLAIN = frozenset({"/healthz", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json", JWKS_PATH})
"""Paths that do not even look at a token, so that they answer also without a database."""
PUBLIC = PLAIN | {
    login.LOGIN_PATH,
    login.REFRESH_PATH,
    long_lived_tokens.EXCHANGE_PATH,
    bootstrap.BOOTSTRAP_PATH,
    password_resets.RESET_PATH,
    password_resets.CONFIRM_PATH,
    SIGN_IN_PATH,
    invitations.PREVIEW_PATH,
    invitations.ACCEPT_PATH,
}
PUBLIC_BELOW = (f"{SIGN_IN_PATH}/",)
"""All paths that answer without a token, and what they begin with."""

log = logging.getLogger(__name__)


class State(TypedDict):
    """What the routes reach."""

    context: Context


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[tuple[Context, Bus]]:
    """The long-lived parts, closed in reverse. Nothing connects yet."""
    async with AsyncExitStack() as stack:
        url = database_url(settings.database_url, settings.database_password.get_secret_value())
        engine = open_engine(url)
        stack.push_async_callback(engine.dispose)
        passwords = Passwords()
        stack.callback(passwords.close)
        bus = Bus(settings.nats_url, settings.nats_password.get_secret_value())
        stack.push_async_callback(bus.close)
        providers = _identity_providers(settings)
        stack.push_async_callback(providers.close)
        context = Context(
            engine=engine,
            passwords=passwords,
            signer=TokenSigner(bytes.fromhex(settings.signing_key.get_secret_value()), settings.access_token_seconds),
            peppers=Peppers.parse(settings.key_peppers.get_secret_value()),
            logins=Throttle(LOGINS_PER_MINUTE),
            login_addresses=Throttle(LOGINS_PER_MINUTE_AND_ADDRESS),
            bucket=DirectoryBucket(bus),
            presence=PresenceView(),
            mail=Mail(mail_server(settings.smtp_url, _revealed(settings.smtp_password), settings.mail_from)),
            public_url=settings.public_url,
            setup_token=_revealed(settings.bootstrap_token) or None,
            session_lasts=timedelta(days=settings.session_days),
            oidc=providers,
            oidc_starts=Throttle(OIDC_STARTS_PER_MINUTE),
            answers=AnswerVault(bytes.fromhex(settings.signing_key.get_secret_value())),
        )
        yield context, bus


def _identity_providers(settings: Settings) -> IdentityProviders:
    secrets = parse_secrets(settings.oidc_secrets.get_secret_value())
    return IdentityProviders(parse_providers(settings.oidc_providers), secrets, settings.public_url)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def build_app(settings: Settings) -> FastAPI:
    """The application; everything that needs the network starts with its lifespan."""
    running: list[Dependencies] = []

    def check() -> list[Dependency]:
        return running[-1].check()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with open_context(settings) as (context, bus):
            bus.listen(PRESENCE, PresenceListener(context.presence).hear)
            bus.listen(KEY_ACTIVITY, KeyActivityListener(partial(mark_used_keys, context)).hear, queue="accounts")
            dependencies = Dependencies(context.engine, bus, context.presence)
            running.append(dependencies)
            reconciling = partial(keep_reconciled, context.engine, context.bucket, settings.reconcile_seconds)
            forgetting = partial(keep_forgetting, context.engine)
            relay = partial(
                relay_directory, context.engine, context.bucket, partial(keep_reminding, context), reconciling, forgetting
            )
            works = (bus.run, dependencies.watch, relay)
            tasks = [asyncio.create_task(_keep_running(work)) for work in works]
            yield {"context": context}
            for task in reversed(tasks):
                await cancel_all([task])

    app = DocumentedApp(
        title="CodexFlow accounts",
        summary="Organizations, projects, keys, and who may do what.",
        version="1",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    app.add_middleware(Once, is_public=_is_public)
    limit = RequestLimit(settings.requests_per_minute)
    app.add_middleware(Door, is_public=_is_public, plain=PLAIN, limit=limit, proxies=settings.trusted_proxies)
    app.include_router(health_routes(check))
    app.include_router(bootstrap.router, responses=errors.PROBLEMS)
    app.include_router(login.router, responses=errors.PROBLEMS)
    app.include_router(long_lived_tokens.public_router, responses=errors.PROBLEMS)
    app.include_router(password_resets.router, responses=errors.PROBLEMS)
    app.include_router(oidc.router, responses=errors.PROBLEMS)
    app.include_router(invitations.public_router, responses=errors.PROBLEMS)
    for guarded in (
        me.router,
        sessions.router,
        long_lived_tokens.router,
        users.router,
        organizations.router,
        members.router,
        service_accounts.router,
        identity_mappings.router,
        invitations.router,
        plans.router,
        projects.router,
        keys.router,
        notices.router,
        audit.router,
        audit.installation_router,
    ):
        app.include_router(guarded, dependencies=[Depends(identified)], responses=errors.PROBLEMS)
    return app


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


async def _keep_running(work: Callable[[], Awaitable[None]]) -> None:
    """A background task that fails in a way nobody foresaw is begun again, and said."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a background task failed and begins again")
        await asyncio.sleep(RESTART_SECONDS)
