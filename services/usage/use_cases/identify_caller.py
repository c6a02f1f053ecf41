"""Who is calling, by an access token that accounts has signed; verified here, without asking anybody.

Only a caller whose token lacks a role is asked about: the token may be older than the membership.
"""

import jwt

from common.contracts.access_tokens import InvalidToken, verify
from common.problems import Unauthenticated, Unavailable
from usage.domain.viewer import Viewer
from usage.outbound.key_set import KeySet
from usage.outbound.present_roles import PresentRoles


async def identify_caller(token: str, keys: KeySet, present: PresentRoles) -> Viewer:
    """Raises Unauthenticated whatever is wrong with the token, Unavailable when no key set could ever be fetched."""
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        raise Unauthenticated("The access token is not valid.") from None
    found = await keys.get(containing=key_id)
    if found is None:
        raise Unavailable("Access tokens cannot be verified at the moment.")
    try:
        identity = verify(token, found)
    except InvalidToken:
        raise Unauthenticated("The access token is not valid.") from None
    return Viewer(identity, lambda: present.of(token))
