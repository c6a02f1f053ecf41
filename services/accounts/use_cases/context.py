"""What the use cases work with: built once in app.py (or by the command line), the same for the whole life of the process."""

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.domain.presence import PresenceView
from accounts.domain.throttle import Throttle
from accounts.outbound.answer_vault import AnswerVault
from accounts.outbound.directory_bucket import DirectoryBucket
from accounts.outbound.identity_provider import IdentityProviders
from accounts.outbound.mail import Mail
from accounts.outbound.passwords import Passwords
from accounts.outbound.token_signer import TokenSigner
from common.contracts.api_keys import Peppers


@dataclass(frozen=True, slots=True)
class Context:
    """The long-lived parts, without any state of a request."""

    engine: AsyncEngine
    passwords: Passwords
    signer: TokenSigner
    peppers: Peppers
    logins: Throttle
    login_addresses: Throttle
    bucket: DirectoryBucket
    presence: PresenceView
    mail: Mail
    public_url: str
    session_lasts: timedelta
    setup_token: str | None = field(repr=False)
    oidc: IdentityProviders
    oidc_starts: Throttle
    answers: AnswerVault
