"""Long-lived tokens for the management APIs: of people and of service accounts."""

from datetime import datetime

import msgspec

from common.contracts.roles import Permission

LONGEST_DAYS = 366
DEFAULT_DAYS = 90


class LongLivedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret. `scopes` None = all that its bearer may do; `hint` is what people recognize it by."""

    id: str
    user_id: str | None = None
    service_account_id: str | None = None
    name: str
    hint: str
    scopes: tuple[Permission, ...] | None
    expires_at: datetime | None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    created_at: datetime
